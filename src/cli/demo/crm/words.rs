//! The words that generated customers are made of. All people and companies are fictional: mobile numbers use a
//! prefix that is not assigned (154), foreign ones the ranges that regulators reserve for drama, identity numbers
//! district codes that do not exist, e-mail addresses the reserved example domains.

/// A person of the sales department.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) department: &'static str,
    pub(super) region: &'static str,
    pub(super) mobile: &'static str,
}

/// The owner of every third customer.
pub(super) const LI_NA: Owner =
    Owner {
        id: "li.na", name: "李娜", department: "华东销售部", region: "east", mobile: "15400000001"
    };

/// The owners of the others.
pub(super) const COLLEAGUES: [Owner; 5] = [
    Owner {
        id: "chen.jing", name: "陈静", department: "华北销售部", region: "north", mobile: "15400000002"
    },
    Owner {
        id: "zhao.lei", name: "赵磊", department: "华南销售部", region: "south", mobile: "15400000003"
    },
    Owner {
        id: "tom.reed",
        name: "Tom Reed",
        department: "Sales Americas",
        region: "overseas",
        mobile: "+1-202-555-0104",
    },
    Owner {
        id: "zhang.wei", name: "张伟", department: "华东销售部", region: "east", mobile: "15400000005"
    },
    Owner {
        id: "emma.clark",
        name: "Emma Clark",
        department: "Sales EMEA",
        region: "overseas",
        mobile: "+44 20 7946 0106",
    },
];

/// A syllable in Chinese writing and in pinyin.
pub(super) type Syllable = (&'static str, &'static str);

pub(super) const SURNAMES: [Syllable; 24] = [
    ("王", "wang"),
    ("李", "li"),
    ("张", "zhang"),
    ("刘", "liu"),
    ("陈", "chen"),
    ("杨", "yang"),
    ("黄", "huang"),
    ("赵", "zhao"),
    ("吴", "wu"),
    ("周", "zhou"),
    ("徐", "xu"),
    ("孙", "sun"),
    ("马", "ma"),
    ("朱", "zhu"),
    ("胡", "hu"),
    ("郭", "guo"),
    ("何", "he"),
    ("林", "lin"),
    ("罗", "luo"),
    ("梁", "liang"),
    ("欧阳", "ouyang"),
    ("司马", "sima"),
    ("诸葛", "zhuge"),
    ("上官", "shangguan"),
];

pub(super) const GIVEN: [Syllable; 28] = [
    ("芳", "fang"),
    ("伟", "wei"),
    ("秀英", "xiuying"),
    ("敏", "min"),
    ("静", "jing"),
    ("丽", "li"),
    ("强", "qiang"),
    ("磊", "lei"),
    ("洋", "yang"),
    ("艳", "yan"),
    ("勇", "yong"),
    ("军", "jun"),
    ("杰", "jie"),
    ("娟", "juan"),
    ("涛", "tao"),
    ("明", "ming"),
    ("超", "chao"),
    ("晓雯", "xiaowen"),
    ("建国", "jianguo"),
    ("子涵", "zihan"),
    ("浩然", "haoran"),
    ("雨桐", "yutong"),
    ("思远", "siyuan"),
    ("一诺", "yinuo"),
    ("嘉怡", "jiayi"),
    ("俊𬀩", "junwei"),
    ("梓萱", "zixuan"),
    ("玥", "yue"),
];

pub(super) const FIRST_NAMES: [&str; 20] = [
    "Alice", "Benjamin", "Chloë", "Daniel", "Élodie", "Farid", "Grace", "Henrik", "Ingrid", "Jack", "Kofi",
    "Lena", "Marta", "Noah", "Olivia", "Pavel", "Quinn", "Rosa", "Søren", "Tara",
];

pub(super) const LAST_NAMES: [&str; 20] = [
    "Anderson",
    "Baker",
    "Castillo",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Hughes",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Müller",
    "Novak",
    "O'Brien",
    "Petrov",
    "Rossi",
    "Schmidt",
    "Turner",
    "Weber",
];

/// City in Chinese, in pinyin, two leading digits of its identity and postal codes.
pub(super) const CITIES: [(&str, &str, &str); 12] = [
    ("上海", "shanghai", "31"),
    ("杭州", "hangzhou", "33"),
    ("南京", "nanjing", "32"),
    ("合肥", "hefei", "34"),
    ("北京", "beijing", "11"),
    ("天津", "tianjin", "12"),
    ("济南", "jinan", "37"),
    ("广州", "guangzhou", "44"),
    ("长沙", "changsha", "43"),
    ("武汉", "wuhan", "42"),
    ("成都", "chengdu", "51"),
    ("西安", "xian", "61"),
];

pub(super) const ROADS: [&str; 10] = [
    "人民路",
    "解放大道",
    "中山北路",
    "科技园路",
    "滨江大道",
    "建设路",
    "和平里",
    "文昌街",
    "长江路",
    "学府路",
];

pub(super) const FOREIGN_CITIES: [(&str, &str); 8] = [
    ("Springfield", "US"),
    ("Riverton", "US"),
    ("Bristol", "GB"),
    ("Leeds", "GB"),
    ("Lyon", "FR"),
    ("Bremen", "DE"),
    ("Aarhus", "DK"),
    ("Kraków", "PL"),
];

pub(super) const STREETS: [&str; 8] = [
    "Harbour Street",
    "Mill Lane",
    "Station Road",
    "Quai des Brumes",
    "Am Speicher",
    "Elm Avenue",
    "Ropewalk",
    "Foundry Row",
];

pub(super) const TRADE_WORDS: [&str; 12] =
    ["华信", "恒泰", "中科", "瑞丰", "博远", "天成", "金桥", "东方", "新锐", "联创", "安达", "宏图"];

pub(super) const COMPANY_WORDS: [&str; 14] = [
    "Northwind",
    "Halcyon",
    "Ironbridge",
    "Blue Heron",
    "Larkspur",
    "Meridian",
    "Saltmarsh",
    "Pinecrest",
    "Quarry & Sons",
    "Redwater",
    "Stonegate",
    "Tidewell",
    "Umber",
    "Vantage",
];

pub(super) const COMPANY_TYPES: [&str; 6] = ["Ltd", "GmbH", "Inc.", "LLC", "ApS", "S.A."];

/// Industry as a code, and as it stands in company names.
pub(super) const INDUSTRIES: [(&str, &str, &str); 10] = [
    ("machinery", "精密机械", "Machinery"),
    ("software", "软件科技", "Software"),
    ("food", "食品", "Foods"),
    ("textile", "纺织", "Textiles"),
    ("logistics", "物流", "Logistics"),
    ("chemicals", "化工", "Chemicals"),
    ("medical", "医疗器械", "Medical"),
    ("energy", "新能源", "Energy"),
    ("retail", "商贸", "Retail"),
    ("education", "教育咨询", "Learning"),
];

pub(super) const STATUSES: [&str; 5] = ["active", "active", "active", "trial", "lapsed"];

pub(super) const TAGS: [&str; 10] = [
    "vip",
    "重点客户",
    "newsletter",
    "续约",
    "trade-fair-2025",
    "付款慢",
    "reseller",
    "pilot",
    "展会",
    "reference",
];

pub(super) const BANKS: [(&str, &str); 5] = [
    ("工商银行", "62220299"),
    ("建设银行", "62170099"),
    ("招商银行", "62148399"),
    ("Bank of Example", "40000099"),
    ("Examplebanken", "52000099"),
];

pub(super) const TITLES: [&str; 8] =
    ["采购经理", "财务总监", "总经理", "技术负责人", "Buyer", "CFO", "Managing Director", "IT Lead"];

pub(super) const CONTRACT_TITLES: [&str; 8] = [
    "年度维护合同",
    "设备采购",
    "软件许可续期",
    "咨询服务",
    "Maintenance 2025",
    "Spare parts",
    "Licence renewal",
    "Rollout phase 2",
];

/// What people write into the notes; `{phone}`, `{email}`, `{person}` and `{id_card}` are filled in.
pub(super) const NOTES: [&str; 12] = [
    "电话沟通，{person}希望本周五前收到报价，回电 {phone}。",
    "拜访客户，确认续约意向；合同寄到公司前台。",
    "付款延迟两周，财务已致电 {phone} 催款。",
    "开票信息已更新，身份证 {id_card} 复印件存档。",
    "Called {person} back on {phone}: wants a quote by Friday.",
    "Sent the \"Q3\" deck to {email}; no answer yet.",
    "Met at the trade fair. Interested in the pilot,\nasked for references.",
    "Complained about delivery; promised a credit note of 5 %.",
    "客户微信更换手机号 {phone}，邮箱 {email} 不变。",
    "合同第 3 页条款需法务确认 → 已转 legal。",
    "Do not call before 10:00 — night shift 🏭.",
    "=HYPERLINK(\"http://example.com\") pasted by the import of 2013, leave as it is",
];
