//! The engine proper: a stack of live containers, each at a state of its record's automaton, and what passes and what
//! goes. What values and containers do is in `values` and `containers`; where the tokens come from is the business of
//! `drive` and, for whole ones, `ahead`.

use std::sync::Arc;

use super::super::automaton::{Compiled, FORBIDDEN, Node, Program, ROOT, StateId};
use super::super::condition::Params;
use super::super::output::Output;
use super::super::plan::{Cut, CutReason, RewritePlan};
use super::choose::Choices;
use super::emit::Emit;
use super::hold::{Forced, Hold};
use super::index::Ahead;
use super::lexer::{Lex, NumberState, StringState};
use super::routes::{Routes, Trail};
use super::tally::Tally;
use super::verdicts::Verdicts;

/// How texts follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One text.
    Document,
    /// One a line.
    Lines,
    /// Each after a record separator (RFC 7464).
    Sequence,
}

/// Object or array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
}

/// What a live container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Part of a record or of the envelope.
    Plain,
    /// A record; its program ends with it.
    Record,
    /// A positional row: its elements are the columns.
    Row,
    /// A name/value pair; the state of its value, and its site.
    Pair(StateId, u32),
    /// A record that is read to be decided.
    Probe,
}

/// A live container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) state: StateId,
    pub(crate) kind: Kind,
    pub(crate) role: Role,
    /// A member of it has passed.
    pub(crate) emitted: bool,
    /// The member before has passed.
    pub(crate) last_kept: bool,
    /// It has a member.
    pub(crate) filled: bool,
    /// Index of the current element.
    pub(crate) index: u64,
    /// Undecided bytes before the current member's text.
    pub(crate) start: usize,
    /// Undecided bytes before this container's own value.
    pub(crate) value: usize,
    /// Where its member names are guessed.
    pub(crate) trail: Option<Trail>,
}

/// What becomes of the bytes that flow by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Undecided,
    Pass,
    Discard,
}

/// What is done with a scalar when it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Nothing,
    Mask(u32),
    Embedded,
}

/// One JSON answer, or a stream of records, being rewritten.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) plan: Arc<RewritePlan>,
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) params: Params,
    pub(crate) framing: Framing,
    pub(crate) depth_limit: usize,
    /// Inside a text that holds JSON.
    pub(crate) embedded: bool,
    /// A record separator has come before the current text.
    pub(crate) separated: bool,
    pub(crate) lex: Lex,
    pub(crate) string: StringState,
    pub(crate) number: NumberState,
    /// Blanks since the last token.
    pub(crate) blanks: usize,
    /// The bytes of a token that began in an earlier slice.
    pub(crate) token: Vec<u8>,
    /// Where the current token starts in the slice.
    pub(crate) token_start: usize,
    /// The current token is kept in whole for its end.
    pub(crate) collect: bool,
    /// It was too long for that.
    pub(crate) overflow: bool,
    pub(crate) finish: Finish,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) frames: Vec<Frame>,
    /// Frames whose openers have been written.
    pub(crate) opened: usize,
    pub(crate) programs: Vec<Arc<Program>>,
    /// The state of the next value.
    pub(crate) child: StateId,
    /// Inside a subtree that is kept or dropped whole: the depth where it ends.
    pub(crate) skip: Option<usize>,
    /// Inside a subtree that is only counted or probed: the number of frames around it.
    pub(crate) silent: Option<usize>,
    pub(crate) flow: Flow,
    pub(crate) emit: Emit,
    pub(crate) tally: Tally,
    /// Whether the current root value passes.
    pub(crate) root_kept: bool,
    pub(crate) hold: Option<Hold>,
    /// The record being held, where it began in an earlier slice.
    pub(crate) held: Vec<u8>,
    pub(crate) forced: Option<Forced>,
    /// The last hold, whose memory is used again.
    pub(crate) spare: Hold,
    pub(crate) verdicts: Verdicts,
    /// What filters and the like choose in the records being written.
    pub(crate) choices: Choices,
    /// Offset of the slice in the answer.
    pub(crate) base: u64,
    pub(crate) pos: usize,
    /// How far the slice may be read: to its end, or to the bound of a held record.
    pub(crate) end: usize,
    /// Where member names are decoded.
    pub(crate) scratch: Vec<u8>,
    /// Where masked values are made.
    pub(crate) masked: String,
    /// By rule: the program for all its grants.
    pub(crate) always: Vec<(usize, Arc<Program>)>,
    pub(crate) last_program: Option<Arc<Program>>,
    pub(crate) ahead: Ahead,
    pub(crate) routes: Routes,
}

/// The answer is cut here.
pub(crate) type Step = Result<(), CutReason>;

impl Machine {
    pub(crate) fn new(
        plan: Arc<RewritePlan>,
        compiled: Arc<Compiled>,
        params: Params,
        framing: Framing,
    ) -> Self {
        let tally = Tally::new(&plan, &compiled);
        let layout = Arc::clone(&compiled.layout);
        let mut machine = Self::at(plan, compiled, params, framing, tally, (layout, ROOT));
        machine.lex = Lex::Start(0);
        machine
    }

    /// A machine whose root is at a state of a program.
    pub(crate) fn at(
        plan: Arc<RewritePlan>,
        compiled: Arc<Compiled>,
        params: Params,
        framing: Framing,
        tally: Tally,
        (program, root): (Arc<Program>, StateId),
    ) -> Self {
        Self {
            depth_limit: plan.bounds.depth,
            plan,
            compiled,
            params,
            framing,
            embedded: false,
            separated: false,
            lex: Lex::Value,
            string: StringState::default(),
            number: NumberState::default(),
            blanks: 0,
            token: Vec::new(),
            token_start: 0,
            collect: false,
            overflow: false,
            finish: Finish::Nothing,
            kinds: Vec::new(),
            frames: Vec::new(),
            opened: 0,
            programs: vec![program],
            child: root,
            skip: None,
            silent: None,
            flow: Flow::Undecided,
            emit: Emit::default(),
            tally,
            root_kept: false,
            hold: None,
            held: Vec::new(),
            forced: None,
            spare: Hold::default(),
            verdicts: Verdicts::default(),
            choices: Choices::default(),
            base: 0,
            pos: 0,
            end: 0,
            scratch: Vec::new(),
            masked: String::new(),
            always: Vec::new(),
            last_program: None,
            ahead: Ahead::default(),
            routes: Routes::default(),
        }
    }

    /// Whether the current root value passes.
    pub(crate) fn root_passes(&self) -> bool {
        self.root_kept
    }

    pub(crate) fn cut(&self, reason: CutReason) -> Cut {
        Cut { reason, offset: self.base + self.pos as u64 }
    }

    pub(crate) fn node(&self) -> Node {
        match self.programs.last() {
            Some(program) => *program.node(self.child),
            None => *self.compiled.layout.node(FORBIDDEN),
        }
    }

    // === what passes and what goes ===

    /// The text of the current member passes up to `at`, and with it everything around it that was undecided.
    pub(crate) fn keep_member(&mut self, at: usize, slice: &[u8], out: &mut impl Output) {
        match self.frames.last_mut() {
            Some(frame) => (frame.emitted, frame.last_kept) = (true, true),
            None => self.root_kept = true,
        }
        self.keep_text(at, slice, out);
    }

    pub(crate) fn keep_text(&mut self, at: usize, slice: &[u8], out: &mut impl Output) {
        if self.flow == Flow::Discard {
            // Nothing that was discarded on the way here may come back.
            self.emit.flush(slice, out);
            self.emit.skip_to(at);
        }
        self.emit.pass(at, slice, out);
        if self.opened < self.frames.len() {
            self.open_up();
        }
    }

    /// The openers of all frames pass.
    pub(crate) fn open_up(&mut self) {
        if self.opened == 0 {
            self.root_kept = true;
        }
        let parents = self.opened.saturating_sub(1)..self.frames.len().saturating_sub(1);
        for frame in self.frames.get_mut(parents).unwrap_or_default() {
            (frame.emitted, frame.last_kept) = (true, true);
        }
        self.opened = self.frames.len();
    }

    /// The text of the current member goes, as far as it has come.
    pub(crate) fn drop_member(&mut self, slice: &[u8], out: &mut impl Output) {
        let start = match self.frames.last_mut() {
            Some(frame) => {
                frame.last_kept = false;
                frame.start
            }
            None => {
                self.root_kept = false;
                0
            }
        };
        self.emit.cut_back(start, self.pos, slice, out);
    }

    /// The undecided text stays so, apart from the slice, and what follows is discarded.
    pub(crate) fn set_aside(&mut self, slice: &[u8], out: &mut impl Output) {
        let length = self.emit.undecided(self.pos);
        self.emit.cut_back(length, self.pos, slice, out);
        self.flow = Flow::Discard;
    }

    /// `bytes` stand in the place of the value that begins or ends here; the member's text before it passes.
    pub(crate) fn replace(&mut self, bytes: &[u8], slice: &[u8], out: &mut impl Output) {
        self.keep_member(self.pos, slice, out);
        self.emit.write(bytes, slice, out);
        self.flow = Flow::Discard;
    }
}
