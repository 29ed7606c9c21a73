//! The table of masks: one row for each kind.

/// One kind of mask.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The name in policies.
    pub name: &'static str,
    /// The values it acts on; all others become `null`.
    pub acts_on: &'static str,
    /// Its parameters by name; empty where it takes a plain value or nothing.
    pub(super) params: &'static [&'static str],
    /// How it is written in a policy.
    pub usage: &'static str,
    /// What it does, in a sentence or two.
    pub doc: &'static str,
    /// Worked examples; the tests run them.
    pub examples: &'static [Example],
}

/// A definition, a value and what becomes of it, as JSON texts. Keys are called `mask-key`.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The definition.
    pub mask: &'static str,
    /// The value in the record.
    pub value: &'static str,
    /// The value in the answer.
    pub becomes: &'static str,
}

/// Every kind, **from the least to the most revealing**: where two masks could apply to a value, the less revealing one
/// of them is applied, as the rules of combination say, and the place in this table is what decides first.
pub const KINDS: [Kind; 12] = [
    Kind {
        name: "blank",
        acts_on: "everything",
        params: &[],
        usage: "blank",
        doc: "Always `null`. Built in.",
        examples: &[example("\"blank\"", "\"13800138000\"", "null"), example("\"blank\"", "12", "null")],
    },
    Kind {
        name: "stars",
        acts_on: "texts",
        params: &[],
        usage: "stars",
        doc: "Always `***`, whatever the length. Built in.",
        examples: &[
            example("\"stars\"", "\"13800138000\"", "\"***\""),
            example("\"stars\"", "\"\"", "\"***\""),
            example("\"stars\"", "12", "null"),
        ],
    },
    Kind {
        name: "constant",
        acts_on: "values of the constant's type",
        params: &[],
        usage: "{ constant: \"hidden\" }",
        doc: "Always the same value. The built-in `zero` is `{ constant: 0 }`.",
        examples: &[
            example("{\"constant\":\"hidden\"}", "\"13800138000\"", "\"hidden\""),
            example("{\"constant\":\"hidden\"}", "12", "null"),
            example("\"zero\"", "1234.5", "0"),
            example("\"zero\"", "\"1234.5\"", "null"),
        ],
    },
    Kind {
        name: "hash",
        acts_on: "texts",
        params: &["key", "length"],
        usage: "{ hash: { key: mask-key, length: 32 } }",
        doc: "The first `length` hexadecimal digits (8 to 64, default 32) of HMAC-SHA-256 of the text under the key. \
              Equal texts stay recognisable as equal; without the key they cannot be tried out.",
        examples: &[example(
            "{\"hash\":{\"key\":\"mask-key\",\"length\":16}}",
            "\"13800138000\"",
            "\"b67c7e42bd8daa56\"",
        )],
    },
    Kind {
        name: "pseudonym",
        acts_on: "texts",
        params: &["key", "length", "alphabet", "version"],
        usage: "{ pseudonym: { key: mask-key, length: 16 } }",
        doc: "A token of `length` characters (default 16) of the `alphabet` (default `base32`), the same for the same \
              text in every system that uses the key. `version` is written in front, so that tokens of a former key can \
              be told.",
        examples: &[
            example(
                "{\"pseudonym\":{\"key\":\"mask-key\",\"length\":16}}",
                "\"13800138000\"",
                "\"5rjmxhgxh8fdw3n5\"",
            ),
            example(
                "{\"pseudonym\":{\"key\":\"mask-key\",\"alphabet\":\"digits\",\"version\":\"v2\"}}",
                "\"13800138000\"",
                "\"v2.7060394130978519\"",
            ),
        ],
    },
    Kind {
        name: "fpe",
        acts_on: "texts",
        params: &["key", "alphabet", "tweak"],
        usage: "{ fpe: { key: mask-key, alphabet: digits } }",
        doc: "Format-preserving encryption (FF1 of NIST SP 800-38G with AES; the key has 16, 24 or 32 bytes). Spaces and \
              `-+()./` stay where they are; a text with other characters outside the alphabet, one with fewer than a \
              million possible values, and one longer than 128 characters become `null`. Whoever has the \
              right (`unmask`) can have it turned back.",
        examples: &[
            example("{\"fpe\":{\"key\":\"mask-key\"}}", "\"138-0013-8000\"", "\"384-8664-1392\""),
            example("{\"fpe\":{\"key\":\"mask-key\"}}", "\"12345\"", "null"),
            example("{\"fpe\":{\"key\":\"mask-key\"}}", "\"11010119900307123X\"", "null"),
        ],
    },
    Kind {
        name: "bucket",
        acts_on: "numbers",
        params: &[],
        usage: "{ bucket: [10000, 100000, 1000000] }",
        doc: "The range the number is in, as a text; a range holds its lower limit. Where clients need a number, use \
              `blank`.",
        examples: &[
            example("{\"bucket\":[10000,100000]}", "9999.99", "\"<10000\""),
            example("{\"bucket\":[10000,100000]}", "10000", "\"10000-100000\""),
            example("{\"bucket\":[10000,100000]}", "100000", "\">=100000\""),
            example("{\"bucket\":[10000,100000]}", "\"50000\"", "null"),
        ],
    },
    Kind {
        name: "round",
        acts_on: "numbers",
        params: &[],
        usage: "{ round: 1000 }",
        doc: "The nearest multiple, halves away from zero. Stays a number.",
        examples: &[
            example("{\"round\":1000}", "12499.99", "12000"),
            example("{\"round\":1000}", "-500", "-1000"),
            example("{\"round\":1000}", "499", "0"),
        ],
    },
    Kind {
        name: "date",
        acts_on: "texts",
        params: &[],
        usage: "{ date: month }",
        doc: "The `year` or the year and `month` of an ISO 8601 date or date and time, as written (no time zone is \
              applied). What is no date becomes `null`. Where clients need a full date, use `blank`.",
        examples: &[
            example("{\"date\":\"month\"}", "\"2024-05-17\"", "\"2024-05\""),
            example("{\"date\":\"year\"}", "\"2024-05-17T08:00:00+08:00\"", "\"2024\""),
            example("{\"date\":\"month\"}", "\"2024-02-30\"", "null"),
        ],
    },
    Kind {
        name: "detect",
        acts_on: "texts",
        params: &["find", "with"],
        usage: "{ detect: [phone, email, id_card, bank_card], with: stars }",
        doc: "Finds telephone numbers, e-mail addresses, identity numbers, cards and IBANs (with their checksums) \
              inside free text and applies the mask named by `with` to each. What it does not recognise stays: it \
              lessens what notes give away and is no promise that nothing is left.",
        examples: &[
            example(
                "{\"detect\":[\"phone\",\"email\"],\"with\":\"stars\"}",
                "\"请联系 13800138000 或 li.na@example.com。\"",
                "\"请联系 *** 或 ***。\"",
            ),
            example(
                "{\"detect\":[\"bank_card\"],\"with\":\"stars\"}",
                "\"order 4111111111111112, card 4111 1111 1111 1111\"",
                "\"order 4111111111111112, card ***\"",
            ),
        ],
    },
    Kind {
        name: "email",
        acts_on: "texts",
        params: &["keep_first"],
        usage: "{ email: { keep_first: 1 } }",
        doc: "The first characters of the local part, three stars, and the domain. A local part not longer than \
              `keep_first` shows nothing; a text that is not exactly one address becomes `***`.",
        examples: &[
            example("{\"email\":{\"keep_first\":1}}", "\"li.na@example.com\"", "\"l***@example.com\""),
            example("{\"email\":{\"keep_first\":1}}", "\"x@example.com\"", "\"***@example.com\""),
            example("{\"email\":{\"keep_first\":1}}", "\"call me\"", "\"***\""),
        ],
    },
    Kind {
        name: "keep",
        acts_on: "texts",
        params: &["first", "last", "fill"],
        usage: "{ keep: { first: 3, last: 4 } }",
        doc: "The first and last characters, `fill` (default `*`) for each one between. Keeps the length; a text not \
              longer than `first` and `last` together becomes all fill. Where the length must not show, use `stars`.",
        examples: &[
            example("{\"keep\":{\"first\":3,\"last\":4}}", "\"13800138000\"", "\"138****8000\""),
            example("{\"keep\":{\"first\":3,\"last\":4}}", "\"1380013\"", "\"*******\""),
            example("{\"keep\":{\"first\":1}}", "\"王小芳\"", "\"王**\""),
            example("{\"keep\":{\"first\":3,\"last\":4}}", "13800138000", "null"),
        ],
    },
];

/// The row of a kind.
pub(super) fn kind_named(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

const fn example(mask: &'static str, value: &'static str, becomes: &'static str) -> Example {
    Example { mask, value, becomes }
}
