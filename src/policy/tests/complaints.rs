//! What `check` says, with place and help.

use super::*;

const HEAD: &str = r#"labels: [public, contact, identity]
resources:
  customer:
    key: id
    fields: { public: [id, name, owner_id], contact: [phone, address.city], identity: [id_card] }
    relations: { owner: user }
  user: { key: id, fields: { public: [id, name] } }
masks:
  phone: { keep: { first: 3, last: 4 } }
"#;

const ROUTES: &str = r#"apis:
  crm:
    routes:
      - { match: GET /c, action: list, resource: customer, records: "$.data[*]" }
      - { match: "GET /c/{id}", action: read, resource: customer, records: $.data }
"#;

const ROLES: &str = r#"roles:
  all: { permissions: [{ resource: customer, actions: [list, read], fields: { show: [public] } }] }
bindings: [{ role: all, when: true }]
"#;

/// What is said about a policy whose parts are right but for `text`.
fn complaints(text: &str) -> Vec<String> {
    let mut parts = vec![("head.yaml", HEAD)];
    if !text.starts_with("apis:") {
        parts.push(("routes.yaml", ROUTES));
    }
    if !format!("\n{text}").contains("\nroles:") {
        parts.push(("roles.yaml", ROLES));
    }
    parts.push(("p.yaml", text));
    let loaded = Loaded::from_texts(&parts, &MaskKeys::Assumed, Purpose::Serve);
    let report = loaded.report;
    assert_eq!(loaded.plan.is_none(), report.has_errors(), "errors keep a policy from being served");
    let ours: Vec<_> = report
        .diagnostics()
        .iter()
        .filter(|d| d.place.as_ref().is_none_or(|p| p.file.as_ref() == "p.yaml"))
        .cloned()
        .collect();
    let mut only = Report::default();
    ours.into_iter().for_each(|diagnostic| only.push(diagnostic));
    said(&only)
}

fn role(permission: &str) -> Vec<String> {
    complaints(&format!(
        "roles:\n  r: {{ permissions: [{permission}] }}\nbindings: [{{ role: r, when: true }}]\n"
    ))
}

fn route(route: &str) -> Vec<String> {
    complaints(&format!("apis:\n  a:\n    routes:\n      - {route}\n"))
}

#[test]
fn the_parts_used_here_are_right() {
    assert!(complaints("tests: []\n").is_empty());
}

#[test]
fn sections_and_keys_nobody_reads() {
    assert_eq!(
        complaints("binding: []\n"),
        ["1:1 unknown-section nobody reads the section `binding` | did you mean `bindings`?"]
    );
    assert_eq!(
        role("{ resource: customer, action: [list], actions: [read], fields: { show: [public] } }"),
        ["2:44 unknown-key unknown key `action` in a permission | did you mean `actions`?"]
    );
    assert_eq!(
        role("{ resource: customer, actions: [list], fields: { shows: [public], show: [public] } }"),
        ["2:71 unknown-key unknown key `shows` in `fields` | did you mean `show`?"]
    );
}

#[test]
fn names_that_are_not_declared() {
    assert_eq!(
        role("{ resource: custommer, actions: [list], fields: { show: [public] } }"),
        ["2:34 unknown-resource unknown resource `custommer` | did you mean `customer`?"]
    );
    assert_eq!(
        role("{ resource: customer, actions: [list], fields: { show: [publik] } }"),
        [
            "2:78 matches-nothing `publik` matches no label and no declared field of `customer` | did you mean \
             `public`?"
        ]
    );
    assert_eq!(
        role("{ resource: customer, actions: [list], fields: { mask: { phone: phon } } }"),
        ["2:86 unknown-mask unknown mask `phon` | did you mean `phone`?"]
    );
    assert_eq!(
        complaints("bindings: [{ role: al, when: true }]\n"),
        ["1:20 unknown-role unknown role `al` | did you mean `all`?"]
    );
    assert_eq!(
        role("{ resource: customer, actions: [udpate], fields: { show: [public] } }"),
        ["2:71 unknown-action no route has the action `udpate` on this resource | did you mean `update`?"]
    );
    assert_eq!(
        complaints("resources: { order: { fields: { publik: [id] } } }\n"),
        ["1:33 unknown-label unknown label `publik` | did you mean `public`?"]
    );
}

/// A misspelled action in a guard or limit would silently guard or limit nothing.
#[test]
fn guards_and_limits_on_actions_that_do_not_exist() {
    assert_eq!(
        complaints("guards: [{ name: g, on: { actions: [exprot] }, require: principal.mfa }]\n"),
        ["1:37 unknown-action no route has the action `exprot` | did you mean `export`?"]
    );
    assert_eq!(
        complaints("limits: [{ name: g, actions: [liste], per: principal, records: 5/day }]\n"),
        ["1:31 unknown-action no route has the action `liste` | did you mean `list`?"]
    );
}

#[test]
fn every_mistake_is_reported_at_once_and_sorted() {
    let said = complaints(
        "roles:\n  r:\n    inherits: [nobody]\n    permissions:\n      - { resource: x, actions: [list] }\n      \
         - { resource: customer, actions: [list], fields: { show: [y] }, records: record. }\nbindings: [{ role: z, when: true }]\n",
    );
    let codes: Vec<_> =
        said.iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        codes,
        [
            "3:16 unknown-role",
            "5:21 unknown-resource",
            "6:65 matches-nothing",
            "6:87 bad-condition",
            "7:20 unknown-role"
        ]
    );
}

/// One record has one rule; which of two it was would depend on their order.
#[test]
fn related_records_in_one_place() {
    let relations = |relations: &str| {
        complaints(&format!(
            "resources: {{ order: {{ fields: {{ public: [id] }}, relations: {{ {relations} }} }} }}\n"
        ))
    };
    assert_eq!(
        relations("owner: user, \"$['owner']\": customer"),
        [
            "1:75 crossing-relations `$['owner']` and `owner` are related records in one place | what lies in a related record is a relation of its own resource"
        ]
    );
    for crossing in [
        "owner: user, owner.manager: user",
        "'owner[*]': user, owner: user",
        "by: user, '*': customer",
        "'a.*': user, a.b: customer",
    ] {
        assert_eq!(relations(crossing).len(), 1, "{crossing}");
    }
    assert_eq!(relations("owner: user, a.owner: user, 'a.b[*]': user, 'c[*].owner': user"), [""; 0]);
}

/// "Selectors that match nothing declared, relations that also have labels below them, and sections nobody reads are
/// `check` errors."
#[test]
fn selectors_and_relations() {
    let show = |what: &str| {
        role(&format!("{{ resource: customer, actions: [list], fields: {{ show: [{what}] }} }}"))
    };
    assert!(show("address").is_empty(), "a container of a labelled field");
    assert!(show("address.city.name").is_empty(), "below a labelled field");
    assert_eq!(
        show("adress"),
        [
            "2:78 matches-nothing `adress` matches no label and no declared field of `customer` | did you mean `address.city`?"
        ]
    );
    assert_eq!(
        show("owner.name"),
        [
            "2:78 related-record `owner` is a related record of `user` | give permissions on the resource `user`: \
             they decide"
        ]
    );
    assert_eq!(
        role("{ resource: user, actions: [read], fields: { show: [contact] } }"),
        ["2:74 matches-nothing no field of `user` has the label `contact` | its labels are `public`"]
    );
    let text = "resources: { order: { fields: { public: [owner.name] }, relations: { owner: user } } }\n";
    assert_eq!(
        complaints(text),
        [
            "1:42 label-below-relation `owner.name` lies in the related record `owner` | label it under its own \
             resource: the rules of that resource decide"
        ]
    );
    let text = "resources: { order: { fields: { public: [id, no], contact: [no] } } }\n";
    assert_eq!(complaints(text), ["1:61 labelled-twice `no` has two labels"]);
    let text = "resources: { order: { fields: { public: [id, contact] } } }\nroles:\n  r: { permissions: [{ resource: order, actions: [list], fields: { show: [contact] } }] }\nbindings: [{ role: r, when: true }]\n";
    assert_eq!(
        complaints(text),
        [
            "3:75 ambiguous-selector `contact` is a label and a field of `order` | write `$.contact` for the field, or \
             rename the label"
        ]
    );
    let named = complaints(&text.replace("show: [contact]", "show: [\"$.contact\"]"));
    assert!(named.iter().all(|line| !line.contains("ambiguous")), "{named:?}");
}

#[test]
fn conditions_are_refused_at_the_place_inside_the_text() {
    let said = role(
        "{ resource: customer, actions: [list], records: 'record.owner_id == oops.id', fields: { show: [public] } }",
    );
    assert!(said[0].starts_with("2:90 bad-condition"), "{said:?}");
    let said = complaints("bindings: [{ role: all, when: record.owner_id == principal.id }]\n");
    assert_eq!(
        said,
        [
            "1:31 record-not-known this condition is decided before there is a record | read `principal` and `request` \
             only"
        ]
    );
    let said = role(
        "{ resource: customer, actions: [list], records: record.ownr_id == principal.id, fields: { show: [public] } }",
    );
    assert_eq!(
        said,
        [
            "2:110 unlisted-field the condition reads `ownr_id`, which `customer` does not list | did you mean \
             `owner_id`?"
        ]
    );
}

#[test]
fn times_rates_and_networks() {
    assert_eq!(
        complaints("bindings: [{ role: all, users: [x], hours: 'mon-fri 9-18' }]\n"),
        [
            "1:44 bad-value `mon-fri 9-18` are not hours | write days, times and a time zone: `mon-fri 09:00-18:00 \
             Asia/Shanghai`"
        ]
    );
    assert_eq!(
        complaints("bindings: [{ role: all, users: [x], hours: '09:00-18:00 Asia/Shanghia' }]\n"),
        [
            "1:44 bad-value unknown time zone `Asia/Shanghia` | use a name of the IANA database such as `Asia/Shanghai`, or `UTC`"
        ]
    );
    assert_eq!(
        complaints("bindings: [{ role: all, users: [x], networks: [10.0.0.1/8] }]\n"),
        [
            "1:48 bad-value `10.0.0.1/8` has bits beyond its prefix; did you mean `10.0.0.0/8`? | write a network such \
             as `10.0.0.0/8` or `2001:db8::/32`"
        ]
    );
    assert_eq!(
        complaints("limits: [{ name: x, per: principal, records: 5 per day }]\n")[0],
        "1:46 bad-value `5 per day` is not a rate | write an amount and a time, such as `300/day` or `120/min`"
    );
}

#[test]
fn whom_a_binding_names_must_be_said() {
    assert_eq!(
        complaints("bindings: [{ role: all }]\n"),
        [
            "1:20 nobody-bound a binding says who holds the role: `users`, `groups` or `when` | for everybody who is \
             authenticated write `when: true`"
        ]
    );
}

/// An empty list, as templates make them, must not mean everybody or always.
#[test]
fn an_empty_list_in_a_binding_is_no_leave() {
    assert_eq!(
        complaints("bindings: [{ role: all, groups: [] }]\n"),
        [
            "1:33 nobody-bound `groups` is empty, so nobody would hold the role | name something in `groups`, or remove it"
        ]
    );
    for key in ["users", "groups", "hours", "networks"] {
        let text = format!("bindings: [{{ role: all, when: true, {key}: [] }}]\n");
        assert_eq!(complaints(&text).len(), 1, "{key}");
    }
}

#[test]
fn routes_must_be_clear() {
    assert_eq!(
        complaints(
            "apis:\n  a:\n    routes:\n      - { match: 'GET /c/{id}', action: read, resource: customer, records: $ }\n      - { match: 'GET /c/{no}', action: read, resource: customer, records: $ }\n"
        ),
        ["5:18 ambiguous-route two routes fit the same requests | let them differ in method, path or `when`"]
    );
    assert_eq!(
        route("{ match: GTE /c, action: list, resource: customer, records: '$[*]' }"),
        ["4:18 bad-route unknown method `GTE` | did you mean `GET`?"]
    );
    assert_eq!(
        route("{ match: 'GET /c/{id', action: list, resource: customer, records: '$[*]' }"),
        ["4:26 bad-route a `{` without `}`"]
    );
    assert_eq!(
        route("{ match: GET /c, resource: customer, records: '$[*]' }"),
        ["4:18 missing-key a route needs `action` | a route anybody may use untouched says `public: true`"]
    );
    assert_eq!(
        route("{ match: GET /c, when: { path id: x }, action: list, resource: customer, records: '$[*]' }"),
        ["4:34 unknown-name the path has no parameter `id`"]
    );
    assert_eq!(
        route(
            "{ match: GET /c, action: list, resource: customer, records: '$[*]', query: { filter: [phon] } }"
        ),
        ["4:95 matches-nothing `phon` is no declared field of `customer` | did you mean `phone`?"]
    );
    assert_eq!(
        route(
            "{ match: GET /c, action: list, resource: customer, records: '$[*]', response_headers: [Set-Cookie] }"
        ),
        ["4:96 forbidden-header the header `set-cookie` is Fieldgate's own business and never passes"]
    );
}

/// "Members outside `records` pass only if the route keeps them": what is kept must not hold the records.
#[test]
fn an_envelope_never_keeps_the_records() {
    for keep in ["data", "$", "$.*", "$.data[0]", "$..name", "$.data"] {
        let said = route(&format!(
            "{{ match: GET /c, action: list, resource: customer, records: '$.data[*]', envelope: {{ keep: ['{keep}'] }} }}"
        ));
        assert!(said[0].contains("keeps-records"), "{keep}: {said:?}");
    }
}

#[test]
fn a_conditional_write_needs_a_read_route() {
    let text = "apis:\n  a:\n    routes:\n      - { match: 'PUT /c/{id}', action: update, resource: customer }\nroles:\n  r: { permissions: [{ resource: customer, actions: [update], records: record.name == 'x', fields: { show: [name], edit: [phone, id], write_only: true } }] }\nbindings: [{ role: r, when: true }]\n";
    assert_eq!(
        complaints(text),
        [
            "4:18 no-read-route `update` is allowed under a condition, and no route reads the record first | add a \
             `read` route of the same resource with the same path parameters"
        ]
    );
}

#[test]
fn edit_needs_show() {
    assert_eq!(
        role("{ resource: customer, actions: [list], fields: { show: [public], edit: [phone] } }"),
        [
            "2:69 edit-without-show `phone` may be edited and is not shown in clear | show it as well, or say `write_only: true`"
        ]
    );
    assert!(
        role("{ resource: customer, actions: [list], fields: { show: [public], edit: [phone], write_only: true } }")
            .is_empty()
    );
}

#[test]
fn masks_that_tie_below_a_labelled_place() {
    let text = "masks: { a: { constant: A }, b: { constant: B } }\nresources: { order: { fields: { public: [bank] } } }\napis: { o: { routes: [{ match: GET /o, action: list, resource: order, records: '$[*]' }] } }\nroles:\n  a: { permissions: [{ resource: order, actions: [list], fields: { mask: { bank: a } } }] }\n  b: { permissions: [{ resource: order, actions: [list], fields: { mask: { bank.account: b } } }] }\nbindings: [{ role: a, when: true }, { role: b, when: true }]\n";
    let loaded = load(&format!("labels: [public]\n{text}"));
    let said = said(&loaded.report);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("the masks `a` and `b` on `order.bank.account` reveal equally much"),
        "{said:?}"
    );
}

/// "Only two different masks that tie in both are an error."
#[test]
fn masks_that_tie() {
    let text = |second: &str| {
        format!(
            "masks: {{ other: {second} }}\nroles:\n  a: {{ permissions: [{{ resource: customer, actions: [list], fields: {{ mask: {{ phone: phone }} }} }}] }}\n  b: {{ permissions: [{{ resource: customer, actions: [list], fields: {{ mask: {{ phone: other }} }} }}] }}\nbindings: [{{ role: a, when: true }}, {{ role: b, when: true }}]\n"
        )
    };
    assert_eq!(
        complaints(&text("{ keep: { first: 4, last: 3 } }")),
        [
            "4:69 mask-tie the masks `phone` and `other` on `customer.phone` reveal equally much | a principal with both \
             permissions would get neither: use one mask for the field"
        ]
    );
    assert!(complaints(&text("{ keep: { first: 3, last: 4 } }")).is_empty(), "the same under another name");
    assert!(complaints(&text("{ keep: { first: 2, last: 4 } }")).is_empty(), "one reveals less");
    assert!(
        complaints(&text("{ keep: { first: 4, last: 3 } }").replace(
            "b: { permissions: [{ resource: customer, actions: [list]",
            "b: { permissions: [{ resource: customer, actions: [read]"
        ))
        .is_empty(),
        "never together"
    );
}

#[test]
fn roles_that_inherit_in_a_circle() {
    let text = "roles:\n  a: { inherits: [b] }\n  b: { inherits: [c] }\n  c: { inherits: [a] }\nbindings: [{ role: a, when: true }]\n";
    assert_eq!(
        complaints(text),
        ["2:3 inheritance-cycle roles inherit in a circle: `a` from `b` from `c` from `a`"]
    );
}

#[test]
fn names_given_twice_show_both_places() {
    let parts = [
        ("a.yaml", HEAD),
        ("b.yaml", ROUTES),
        ("c.yaml", ROLES),
        ("d.yaml", "roles:\n  all: { permissions: [] }\n"),
    ];
    let loaded = Loaded::from_texts(&parts, &MaskKeys::Assumed, Purpose::Serve);
    let diagnostic = loaded.report.diagnostics().iter().find(|d| d.code == "duplicate-name").unwrap();
    assert_eq!(diagnostic.message, "role `all` is defined twice");
    assert_eq!(diagnostic.place.as_ref().unwrap().to_string(), "d.yaml:2:3");
    assert_eq!(diagnostic.related[0].0.to_string(), "c.yaml:2:3");
}

#[test]
fn invariants_are_proved_or_refuted_with_the_permission() {
    let text = "invariants: [{ name: no names, never: { show: [public], except_roles: [] } }]\n";
    assert_eq!(
        complaints(text),
        [
            "1:22 invariant-broken the invariant `no names` does not hold: role `all` sees `customer.id` in clear | for example somebody, by `GET /c`"
        ]
    );
    assert!(complaints(&text.replace("except_roles: []", "except_roles: [all]")).is_empty());
    assert!(complaints("invariants: [{ name: no exports, never: { actions: [export] } }]\n").is_empty());
    assert_eq!(
        complaints("invariants: [{ name: no lists, never: { actions: [list], roles: [all] } }]\n"),
        [
            "1:22 invariant-broken the invariant `no lists` does not hold: role `all` may `list` `customer` | for example somebody, by `GET /c`"
        ]
    );
}

#[test]
fn only_the_one_who_exceeds_is_frozen() {
    let freeze = |per: &str| {
        complaints(&format!("limits: [{{ name: x, per: {per}, records: 5/day, on_exceed: freeze }}]\n"))
    };
    assert!(freeze("principal").is_empty() && freeze("key").is_empty());
    for (per, column) in [("role", 59), ("ip", 57), ("all", 58)] {
        assert_eq!(
            freeze(per),
            [format!(
                "1:{column} freezes-others a limit that freezes counts each principal | write `per: principal` (or \
                 `key`); the one who exceeds is frozen, and nobody else"
            )]
        );
    }
}

#[test]
fn lints_warn() {
    let text = "roles:\n  idle: { permissions: [] }\n  r: { permissions: [{ resource: customer, actions: [list] }] }\nbindings: [{ role: r, when: true }]\n";
    assert_eq!(
        complaints(text),
        [
            "2:3 unbound-role nobody holds the role `idle` | add a binding, or remove the role; API keys can also name it",
            "3:22 shows-nothing this permission releases records without any field | add `fields: { show: … }`",
        ]
    );
    assert_eq!(
        route("{ match: GET /c, action: list, resource: customer, records: $.data }"),
        ["4:69 list-as-single `$.data` names one record, and the action is `list` | a list is `$.data[*]`"]
    );
    assert_eq!(complaints("labels: [secret]\n"), ["1:10 unused-label no field has the label `secret`"]);
}

#[test]
fn denials_are_json_once_filled_in() {
    let denial = |body: &str| {
        complaints(&format!(
            "apis:\n  a:\n    denial: {{ body: '{body}' }}\n    routes:\n      - {{ match: GET /c, public: true }}\n"
        ))
    };
    assert!(denial(r#"[[{"a":{"b":{{message}}}}]]"#).iter().all(|line| line.contains("public-route")));
    assert!(denial(r#"{"a":{{mesage}}}"#)[0].contains("unknown-name `{{mesage}}` is nothing a denial knows"));
    assert!(denial(r#"{"a":"{{message}}"}"#)[0].contains("bad-template"));
}

#[test]
fn masks_are_refused_at_the_wrong_part() {
    let said = complaints("masks:\n  x: { keep: { frist: 3 } }\n");
    assert!(said[0].starts_with("2:23 bad-mask"), "{said:?}");
    assert!(complaints("masks: { x: { kep: { first: 3 } } }\n")[0].contains("did you mean `keep`?"));
    let named = Loaded::from_texts(
        &[("p.yaml", "masks: { x: { hash: { key: k } } }\n")],
        &MaskKeys::Named(vec!["other".into()]),
        Purpose::Check,
    );
    assert!(said_any(&named.report, "there is no key `k`"));
}

fn said_any(report: &Report, text: &str) -> bool {
    said(report).iter().any(|line| line.contains(text))
}

/// What a newcomer writes first, and what helps then.
#[test]
fn the_first_mistakes_of_a_newcomer_are_helped() {
    let role = "labels: [a]\nresources: { r: { fields: { a: [x] } } }\nroles: { s: { permissions: [{ resource: r, actions: [read], fields: { mask: { x: email } } }] } }\n";
    let said = complaints(role);
    assert!(
        said.iter().any(|line| line.contains("unknown mask `email` | it is a kind of mask: write `email: {")),
        "{said:?}"
    );
    let said = load("apis: { c: { routes: [{ match: GET /customers/{id}, action: read }] } }\n").report;
    let said = said.diagnostics().iter().filter_map(|found| found.help.clone()).collect::<Vec<_>>();
    assert!(said.iter().any(|help| help.contains("stands in quotes: `\"GET /customers/{id}\"`")), "{said:?}");
}
