//! What to do about a complaint, where the complaint itself says nothing better.

/// The general help for a code.
pub(crate) fn general(code: &str) -> Option<&'static str> {
    TABLE.iter().find(|(known, _)| *known == code).map(|(_, help)| *help)
}

const TABLE: &[(&str, &str)] = &[
    ("ambiguous-body", "say of each form of a body once how it is read"),
    ("bad-condition", "docs/conditions.md has everything that a condition may say"),
    ("bad-key", "write it as a plain text"),
    ("bad-key-path", "name one member, such as `id` or `data.id`, without `[*]`"),
    ("bad-mask", "docs/masks.md has every kind with its parameters"),
    ("bad-name", "give it a name of letters, digits, `-` and `_`, in one line"),
    ("bad-path", "write `a`, `a.b`, `list[*].a`, or from the root of an answer `$.data[*]`"),
    ("bad-request-part", "write `path NAME`, `query NAME`, `header NAME` or `body $.PATH`"),
    ("bad-route", "write a method and a path, such as `GET /api/customers/{id}`"),
    ("bad-template", "names become texts with quotes: write `{{message}}` without quotes around it"),
    ("bad-value", "`fieldgate schema` says what may stand here"),
    ("bad-yaml", "quote what begins with a special character, and indent by blanks"),
    ("constant-condition", "remove the condition, or compare with what differs between records or callers"),
    ("duplicate-key", "write it once, with everything that belongs to it"),
    ("duplicate-name", "rename one of them, or put both into one place"),
    (
        "forbidden-header",
        "remove it: it frames messages, carries credentials, or tells more than the rewritten answer",
    ),
    ("inheritance-cycle", "remove one `inherits`; what the roles share can be a role of its own"),
    (
        "invariant-undecided",
        "give the roles of the bindings fewer combinations, or narrow the invariant with `roles`",
    ),
    ("label-below-relation", "label it under the related resource, or remove the relation"),
    ("labelled-twice", "keep one label; the more guarded one is the careful choice"),
    ("mask-tie", "use one mask for both, or change how much one of them keeps"),
    ("matches-nothing", "declare the field with its label under `resources`, or remove the name"),
    ("merge-key", "write the members out; an alias may stand for a whole value"),
    ("missing-actions", "write for instance `actions: [list, read]`"),
    ("missing-key", "`fieldgate schema` lists what belongs here"),
    ("no-envelope", "remove it: every line or row is a record, and nothing stands beside them"),
    (
        "not-enforced",
        "what is served is as the message says; docs/policy.md lists what this version does not enforce",
    ),
    ("not-separated", "say `format: csv` or `format: tsv`, or remove the key"),
    ("public-route", "remove `public: true` where answers hold anything that not everybody may read"),
    ("public-with-action", "remove the action, or `public: true`"),
    ("public-with-body", "remove `body`, or `public: true`"),
    ("public-with-records", "remove `records`, or `public: true`"),
    ("public-with-resource", "remove the resource, or `public: true`"),
    ("rows-of-lines", "remove `rows`, or the format"),
    ("too-deep", "nest less deeply: what repeats can have a name of its own"),
    ("too-large", "split the file; sections merge by name"),
    ("too-many-aliases", "write the values out, or split the file"),
    ("typed-rows", "remove one of the two"),
    ("unknown-name", "declare it, or use a name that is declared"),
    ("unreadable-file", "name files that can be read: text in UTF-8"),
    ("unused-burst", "move `burst` to a limit that counts `requests`"),
    ("unused-label", "remove it, or give it to a field under `resources`"),
    ("wrong-type", "`fieldgate schema` says what may stand here"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helps_are_short_sentences_in_order() {
        assert!(TABLE.is_sorted_by_key(|(code, _)| *code));
        assert!(
            TABLE.iter().all(|(_, help)| !help.is_empty() && !help.ends_with('.') && !help.contains('\n'))
        );
        assert!(general("no-such-code").is_none());
    }
}
