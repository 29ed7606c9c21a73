//! Generated customers: the same seed and number always give the same customer, so that none has to be stored.

use jiff::ToSpan;
use jiff::civil::{Date, date};
use serde_json::{Map, Value, json};

use super::words::{
    BANKS, CITIES, COLLEAGUES, COMPANY_TYPES, COMPANY_WORDS, CONTRACT_TITLES, FIRST_NAMES, FOREIGN_CITIES,
    GIVEN, INDUSTRIES, LAST_NAMES, LI_NA, NOTES, Owner, ROADS, STATUSES, STREETS, SURNAMES, TAGS, TITLES,
    TRADE_WORDS,
};

/// A customer as the CRM keeps it.
pub(super) type Customer = Map<String, Value>;

/// The number of the customer whose data the documentation shows.
pub(crate) const SHOWN_ID: u64 = 42;

/// Makes customers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Generator {
    seed: u64,
}

impl Generator {
    /// A generator; every seed gives other customers.
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The customer numbered `id`.
    pub(super) fn customer(self, id: u64) -> Customer {
        let mut dice = Dice::new(self.seed ^ id.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let owner = owner_of(id);
        let mut customer = object(json!({ "id": id, "uid": dice.id64(), "name": null, "kind": null }));
        let parts = if owner.region == "overseas" || dice.one_in(4) {
            foreign(&mut dice)
        } else {
            chinese(&mut dice)
        };
        customer.extend(sales_side(&mut dice, owner));
        customer.extend(parts);
        customer.extend(money_side(&mut dice, &customer));
        customer.extend(lists(&mut dice, &customer));
        customer.extend(dates(&mut dice));
        if id == SHOWN_ID {
            show_case(&mut customer);
        }
        customer
    }
}

/// Every third customer is Li Na's; the others go round.
fn owner_of(id: u64) -> Owner {
    if id.is_multiple_of(3) {
        return LI_NA;
    }
    let index = usize::try_from(id % 5).unwrap_or(0);
    COLLEAGUES.get(index).copied().unwrap_or(LI_NA)
}

fn sales_side(dice: &mut Dice, owner: Owner) -> Customer {
    let (industry, _, _) = dice.pick(&INDUSTRIES);
    let mut tags: Vec<&str> = (0..dice.below(4)).map(|_| dice.pick(&TAGS)).collect();
    tags.dedup();
    object(json!({
        "industry": industry,
        "region": owner.region,
        "status": dice.pick(&STATUSES),
        "level": dice.pick(&["A", "B", "C"]),
        "tags": tags,
        "owner_id": owner.id,
        "owner": {
            "id": owner.id,
            "name": owner.name,
            "department": owner.department,
            "email": format!("{}@crm.example.com", owner.id),
            "mobile": owner.mobile,
        },
    }))
}

fn chinese(dice: &mut Dice) -> Customer {
    let person = Person::chinese(dice);
    let (city, pinyin, code) = dice.pick(&CITIES);
    let (kind, name) = if dice.one_in(3) {
        ("person", person.name.clone())
    } else {
        let (_, trade, _) = dice.pick(&INDUSTRIES);
        ("company", format!("{city}{}{trade}有限公司", dice.pick(&TRADE_WORDS)))
    };
    object(json!({
        "name": name,
        "kind": kind,
        "phone": person.phone,
        "mobile": dice.mobile(),
        "email": person.email,
        "wechat": format!("wx_{}_{}", person.latin, dice.below(1000)),
        "address": {
            "city": city,
            "street": format!("{}{}号", dice.pick(&ROADS), 1 + dice.below(400)),
            "postcode": format!("{code}{:04}", dice.below(10_000)),
            "country": "CN",
        },
        "id_card": id_card(dice, code),
        "website": format!("https://{pinyin}-{}.example.cn", dice.below(1_000)),
    }))
}

fn foreign(dice: &mut Dice) -> Customer {
    let person = Person::foreign(dice);
    let (city, country) = dice.pick(&FOREIGN_CITIES);
    let (kind, name) = if dice.one_in(3) {
        ("person", person.name.clone())
    } else {
        let (_, _, trade) = dice.pick(&INDUSTRIES);
        ("company", format!("{} {trade} {}", dice.pick(&COMPANY_WORDS), dice.pick(&COMPANY_TYPES)))
    };
    object(json!({
        "name": name,
        "kind": kind,
        "phone": person.phone,
        "mobile": null,
        "email": person.email,
        "wechat": null,
        "address": {
            "city": city,
            "street": format!("{} {}", 1 + dice.below(200), dice.pick(&STREETS)),
            "postcode": format!("{:05}", dice.below(100_000)),
            "country": country,
        },
        "id_card": null,
        "website": format!("https://www{}.example.com", dice.below(10_000)),
    }))
}

fn money_side(dice: &mut Dice, customer: &Customer) -> Customer {
    let (bank, prefix) = dice.pick(&BANKS);
    object(json!({
        "bank": {
            "name": bank,
            "account": bank_card(dice, prefix),
            "holder": customer.get("name"),
        },
        "credit_limit": dice.money(2_000),
        "balance_due": dice.money(300),
    }))
}

fn lists(dice: &mut Dice, customer: &Customer) -> Customer {
    let contacts: Vec<Value> = (0..1 + dice.below(3)).map(|_| contact(dice, customer)).collect();
    let contracts: Vec<Value> = (0..dice.below(4)).map(|_| contract(dice)).collect();
    let notes: Vec<Value> = (0..1 + dice.below(2)).map(|_| note(dice, customer)).collect();
    object(json!({ "contacts": contacts, "contracts": contracts, "notes": notes }))
}

fn contact(dice: &mut Dice, customer: &Customer) -> Value {
    let domestic = customer.get("id_card").is_some_and(Value::is_string);
    let person = if domestic { Person::chinese(dice) } else { Person::foreign(dice) };
    json!({
        "id": dice.id64(),
        "owner_id": customer.get("owner_id"),
        "name": person.name,
        "title": dice.pick(&TITLES),
        "phone": person.phone,
        "email": person.email,
        "birthday": dice.day(date(1960, 1, 1), 15_000).to_string(),
    })
}

fn contract(dice: &mut Dice) -> Value {
    json!({
        "id": dice.id64(),
        "title": dice.pick(&CONTRACT_TITLES),
        "amount": dice.money(800),
        "currency": dice.pick(&["CNY", "CNY", "EUR", "USD"]),
        "discount": f64::from(u32::try_from(dice.below(30)).unwrap_or(0)) / 100.0,
        "signed_on": dice.day(date(2019, 1, 1), 2_500).to_string(),
        "status": dice.pick(&["draft", "signed", "closed"]),
    })
}

fn note(dice: &mut Dice, customer: &Customer) -> Value {
    let text = |name: &str| customer.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let body = dice
        .pick(&NOTES)
        .replace("{phone}", &text("phone"))
        .replace("{email}", &text("email"))
        .replace("{id_card}", &text("id_card"))
        .replace("{person}", &text("name"));
    json!({ "at": dice.day(date(2023, 1, 1), 1_000).to_string(), "by": owner_of(dice.below(30)).id, "text": body })
}

fn dates(dice: &mut Dice) -> Customer {
    let created = dice.day(date(2011, 3, 1), 5_000);
    let updated = dice.day(date(2025, 1, 1), 600);
    object(json!({
        "created_at": format!("{created}T{:02}:{:02}:00+08:00", dice.below(24), dice.below(60)),
        "updated_at": format!("{updated}T{:02}:{:02}:00+08:00", dice.below(24), dice.below(60)),
        // Left by a migration long ago; nobody has classified it, so the gateway hides it.
        "x_sync": format!("sugar63:{:016x}", dice.next()),
    }))
}

/// The customer in the documentation: the values that people know from the examples.
fn show_case(customer: &mut Customer) {
    let shown = json!({
        "name": "王芳",
        "kind": "person",
        "industry": "retail",
        "status": "active",
        "level": "A",
        "tags": ["vip", "续约"],
        "website": "https://shanghai-42.example.cn",
        "phone": "13800138000",
        "mobile": "15400138000",
        "email": "wang.fang@example.com",
        "wechat": "wx_wangfang",
        "address": { "city": "上海", "street": "人民路42号", "postcode": "310042", "country": "CN" },
        "id_card": id_card_of("11010119900318123"),
        "bank": { "name": "工商银行", "account": "6222029900001234568", "holder": "王芳" },
        "credit_limit": 250_000.5,
        "balance_due": 12_800,
        "contacts": [{
            "id": 7_204_618_394_857_201_665_u64, "owner_id": "li.na", "name": "王强", "title": "采购经理",
            "phone": "15400138001", "email": "wang.qiang@example.com", "birthday": "1988-08-08",
        }],
        "contracts": [{
            "id": 7_204_618_394_857_201_667_u64, "title": "年度维护合同", "amount": 128_000, "currency": "CNY",
            "discount": 0.12, "signed_on": "2025-04-01", "status": "signed",
        }],
        "notes": [{
            "at": "2026-03-02", "by": "li.na", "text": "电话沟通，希望周五前收到报价，回电 13800138000。",
        }],
    });
    customer.extend(object(shown));
}

struct Person {
    name: String,
    /// For user names and host names.
    latin: String,
    phone: String,
    email: String,
}

impl Person {
    fn chinese(dice: &mut Dice) -> Self {
        let (surname, surname_latin) = dice.pick(&SURNAMES);
        let (given, given_latin) = dice.pick(&GIVEN);
        let number = dice.below(1000);
        Self {
            name: format!("{surname}{given}"),
            latin: format!("{surname_latin}{given_latin}"),
            phone: dice.mobile(),
            email: format!("{given_latin}.{surname_latin}{number}@example.cn"),
        }
    }

    fn foreign(dice: &mut Dice) -> Self {
        let (first, last) = (dice.pick(&FIRST_NAMES), dice.pick(&LAST_NAMES));
        let latin: String =
            format!("{first}.{last}").to_lowercase().chars().filter(|c| c.is_ascii()).collect();
        let phone = if dice.one_in(2) {
            format!("+1-202-555-01{:02}", dice.below(100))
        } else {
            format!("+44 20 7946 0{:03}", dice.below(1000))
        };
        Self {
            name: format!("{first} {last}"),
            email: format!("{latin}@example.org"),
            latin: latin.replace(['.', '\''], ""),
            phone,
        }
    }
}

/// An identity number of a district that does not exist.
fn id_card(dice: &mut Dice, province: &str) -> String {
    let born = dice.day(date(1955, 1, 1), 18_000);
    let born = born.strftime("%Y%m%d").to_string();
    id_card_of(&format!("{province}0199{born}{:03}", dice.below(1000)))
}

/// Adds the check character of GB 11643 (ISO 7064 MOD 11-2) to 17 digits.
fn id_card_of(body: &str) -> String {
    let sum: u32 = body
        .chars()
        .rev()
        .zip(1u32..)
        .map(|(c, place)| c.to_digit(10).unwrap_or(0) * ((1 << place) % 11))
        .sum();
    let check = match (12 - sum % 11) % 11 {
        10 => 'X',
        digit => char::from_digit(digit, 10).unwrap_or('0'),
    };
    format!("{body}{check}")
}

/// A card number of 19 digits with the Luhn check digit.
fn bank_card(dice: &mut Dice, prefix: &str) -> String {
    let body = format!("{prefix}{:010}", dice.below(10_000_000_000));
    let sum: u32 = body
        .chars()
        .rev()
        .enumerate()
        .map(|(place, c)| match (place % 2, c.to_digit(10).unwrap_or(0)) {
            (0, digit) if digit > 4 => digit * 2 - 9,
            (0, digit) => digit * 2,
            (_, digit) => digit,
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn object(value: Value) -> Customer {
    match value {
        Value::Object(members) => members,
        _ => Customer::new(),
    }
}

/// A small, seeded source of numbers (SplitMix64). For sample data only.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, table: &'static [T]) -> T {
        let index = self.below(table.len() as u64) as usize;
        #[expect(
            clippy::indexing_slicing,
            reason = "INVARIANT: the tables are constants with at least one row"
        )]
        table[index]
    }

    /// An id that does not fit a JavaScript number.
    fn id64(&mut self) -> u64 {
        (7 << 60) | (self.next() >> 4)
    }

    fn mobile(&mut self) -> String {
        format!("154{:08}", self.below(100_000_000))
    }

    /// An amount up to `thousands`, some of them with cents.
    fn money(&mut self, thousands: u64) -> Value {
        let whole = (1 + self.below(thousands)) * 500;
        if self.one_in(3) { json!(whole as f64 + self.below(100) as f64 / 100.0) } else { json!(whole) }
    }

    fn day(&mut self, from: Date, days: u64) -> Date {
        let days = i64::try_from(self.below(days)).unwrap_or(0);
        from.checked_add(days.days()).unwrap_or(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_is_always_the_same_customer() {
        for id in [1, 2, 3, 42, 1999, 50_000] {
            assert_eq!(Generator::new(7).customer(id), Generator::new(7).customer(id));
        }
        assert_ne!(Generator::new(7).customer(1), Generator::new(8).customer(1));
    }

    #[test]
    fn a_third_of_the_customers_is_li_nas() {
        let mine = (1..=2000).filter(|id| Generator::new(1).customer(*id)["owner_id"] == "li.na").count();
        assert_eq!(mine, 666);
    }

    #[test]
    fn the_shown_customer_has_the_values_of_the_documentation() {
        let shown = Generator::new(2026).customer(SHOWN_ID);
        assert_eq!(shown["id_card"], "11010119900318123X");
        assert_eq!(shown["phone"], "13800138000");
        assert_eq!(shown["owner"]["id"], "li.na");
    }

    #[test]
    fn identity_numbers_carry_the_right_check_character() {
        assert_eq!(id_card_of("11010519491231002"), "11010519491231002X");
        for id in 1..500 {
            let customer = Generator::new(2026).customer(id);
            let Some(card) = customer["id_card"].as_str() else { continue };
            assert_eq!(card.len(), 18, "{card}");
            let body: String = card.chars().take(17).collect();
            assert_eq!(id_card_of(&body), card);
        }
    }

    #[test]
    fn bank_cards_pass_luhn() {
        for id in 1..500 {
            let customer = Generator::new(2026).customer(id);
            let account = customer["bank"]["account"].as_str().expect("an account").to_owned();
            let sum: u32 = account
                .chars()
                .rev()
                .enumerate()
                .map(|(i, c)| {
                    let digit = c.to_digit(10).expect("digits") * if i % 2 == 1 { 2 } else { 1 };
                    digit / 10 + digit % 10
                })
                .sum();
            assert_eq!(sum % 10, 0, "{id}: {account}");
        }
    }

    #[test]
    fn some_ids_do_not_fit_a_double() {
        let uid = Generator::new(2026).customer(5)["uid"].as_u64().expect("a number");
        assert!(uid > 1 << 53);
    }

    #[test]
    fn there_are_chinese_and_english_customers() {
        let names: Vec<String> =
            (1..200).map(|id| Generator::new(2026).customer(id)["name"].to_string()).collect();
        assert!(names.iter().any(|name| name.is_ascii()));
        assert!(names.iter().any(|name| !name.is_ascii()));
    }
}
