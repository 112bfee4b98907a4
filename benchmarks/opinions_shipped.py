"""Writes the news that ship with the watch: three days, two languages, twenty companies that do not exist.

    python benchmarks/opinions_shipped.py [--out DIR]

Every phrase is ours. Two companies get into trouble towards the end (a ferry line whose ship burned, a dairy whose
milk was recalled); the others have the weeks that companies have. Stories are reprinted by other desks with bylines,
shortened and reordered, some arrive hours late. The same seed gives the same bytes, which a test holds against what
is in the package.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

SEED = 20_260_302
START = datetime(2026, 3, 2, tzinfo=UTC)
NUM_ITEMS = 400
OUT = Path(__file__).resolve().parents[1] / "pagoda" / "opinions" / "demo"

COMPANIES = """\
id,name,aliases,codes,context,country,industry
northgate,Northgate Ferries,Northgate Lines,NGFY,ferry|vessel|passengers,GB,shipping
halden,Halden Bakeries,Halden Bread,HLDB,bread|ovens|stores,GB,food
orsino,Orsino Chemicals,,ORSC,solvents|plant,US,chemicals
pellworth,Pellworth Insurance,Pellworth Group,PLWI,premiums|claims,GB,insurance
quillon,Quillon Robotics,Quillon,QLNR,robots|warehouse,US,machinery
tamsin,Tamsin Energy,,TAMN,wind|turbines|grid,GB,energy
verlaine,Verlaine Optics,Verlaine,VLNO,lenses|cameras,FR,optics
bramcote,Bramcote Rail,Bramcote Railways,BMCR,trains|signalling,GB,transport
osterby,Osterby Mills,Osterby Paper,OSBM,paper|pulp,SE,paper
calder,Calder & Finch,Calder and Finch,CLDF,stores|shoppers,GB,retail
suilan,穗岚乳业,穗岚,990101.SH,牛奶|奶粉|乳制品,CN,食品
lanting,澜汀银行,澜汀,990202.SH,存款|贷款|网点,CN,银行
xingli,星砾光电,星砾,990303.SZ,光伏|组件|硅片,CN,光伏
yunya,云崖航空,云崖,990404.SH,航班|机队|旅客,CN,航空
nanzhao,南棹置业,南棹,990505.SZ,楼盘|销售|土地,CN,地产
chili,赤栎药业,赤栎,990606.SH,新药|临床|胶囊,CN,医药
beiyan,北砚重工,北砚,990707.SZ,挖掘机|起重机|订单,CN,机械
luyu,鹭屿物流,鹭屿,990808.SZ,包裹|仓库|快递,CN,物流
jintang,锦棠酒业,锦棠,990909.SH,白酒|经销商|窖池,CN,白酒
zhulan,逐岚汽车,逐岚,991010.SZ,新能源车|交付|电池,CN,汽车
"""
ENGLISH = {
    "northgate": "Northgate Ferries", "halden": "Halden Bakeries", "orsino": "Orsino Chemicals",
    "pellworth": "Pellworth Insurance", "quillon": "Quillon Robotics", "tamsin": "Tamsin Energy",
    "verlaine": "Verlaine Optics", "bramcote": "Bramcote Rail", "osterby": "Osterby Mills", "calder": "Calder & Finch",
}  # fmt: skip
CHINESE = {
    "suilan": "穗岚乳业", "lanting": "澜汀银行", "xingli": "星砾光电", "yunya": "云崖航空", "nanzhao": "南棹置业",
    "chili": "赤栎药业", "beiyan": "北砚重工", "luyu": "鹭屿物流", "jintang": "锦棠酒业", "zhulan": "逐岚汽车",
}  # fmt: skip
DESKS = {
    "en": ("Harbour Wire", "Morning Ledger", "The Tidewater Post", "Northern Markets", "Ledgerline"),
    "zh": ("海岸财经", "经纬快讯", "晨汐日报", "南岭证券报", "明渡财讯"),
}
ROUTINE_EN = (
    (
        "{c} wins {n}-year supply contract worth £{m} million",
        "{c} said it will begin deliveries in the autumn. The order is the largest in its segment since {y}.",
    ),
    (
        "{c} raises full-year guidance after record quarter",
        "Revenue rose {p} per cent, ahead of what analysts had expected. The board credited strong demand at home.",
    ),
    (
        "{c} beats profit expectations, shares gain {p}%",
        "Pre-tax profit came in at £{m} million. The shares were among the day's best performers.",
    ),
    (
        "{c} names {name} chief financial officer",
        "The appointment takes effect at the start of next month. The outgoing officer will advise until June.",
    ),
    ("{c} to hold annual meeting on {d} April", "Shareholders will vote on the accounts and on the board's pay."),
    ("{c} schedules capital markets day for {d} May", "Management will present its plans for the years to 2030."),
    ("{c} opens {o_n} site in the north-east", "The site employs {m} people and takes over work from two older ones."),
    (
        "{c} upgraded to 'buy' as margins improve",
        "The broker lifted its price target by {p} per cent, pointing to lower energy costs and a fuller order book.",
    ),
    (
        "{c} misses sales forecast as costs rise",
        "Sales slipped {p} per cent in the quarter. The company blamed higher wages and weak demand abroad.",
    ),
    (
        "{c} shares slip {p}% after cautious outlook",
        "The company warned that the second half would be harder than the first. Two brokers cut their forecasts.",
    ),
    ("{c} and union agree {n}-year pay deal", "Staff will vote on the agreement before the end of the month."),
    ("{c} extends partnership with {o}", "The two companies will go on sharing {n} sites. Terms were not disclosed."),
    ("{c} completes £{m} million bond sale", "The notes mature in {y}. The proceeds refinance existing debt."),
    ("{c} keeps dividend unchanged at {p} pence", "The payment is due in May. Analysts had expected no change."),
    (
        "{c} launches pilot of new maintenance system",
        "The trial runs at {n} sites until the summer. A decision on a wider rollout is due in the autumn.",
    ),
    (
        "{c} loses {m}-million-pound tender to {o}",
        "The contract had run for {n} years. The company said the loss would weigh on earnings from next year.",
    ),
)
ROUTINE_ZH = (
    ("{c}中标{m}亿元采购项目", "公司公告称，项目将于今年三季度开始交付，预计对全年业绩产生积极影响。"),
    ("{c}一季度净利润同比增长{p}%", "公司表示，增长主要来自主营产品销量提升与费用下降，毛利率创近三年新高。"),
    ("{c}上调全年业绩指引，股价涨{p}%", "多家机构随后上调目标价，认为公司订单饱满、景气度持续回升。"),
    ("{c}聘任{name}为财务总监", "任期自下月起，原财务总监因工作调整离任，仍担任公司顾问。"),
    ("{c}将于4月{d}日召开年度股东大会", "会议将审议年度报告、利润分配方案等议案。"),
    ("{c}召开投资者交流会", "管理层介绍了未来三年的产能安排，并回答了投资者提问。"),
    ("{c}与{o}续签合作协议", "双方将继续在{n}个城市开展合作，协议金额未予披露。"),
    ("{c}新基地投产，年产能提升{p}%", "新基地采用自动化产线，可提供约{m}个就业岗位，公司竞争力进一步增强。"),
    ("{c}获机构上调评级至买入", "研报认为公司成本优势明显，盈利能力有望持续改善。"),
    ("{c}季度营收不及预期", "公司称，受需求疲软和原材料涨价影响，当季营收同比下滑{p}%。"),
    ("{c}股价下跌{p}%，市场担忧下半年压力", "公司此前提示下半年经营存在不确定性，两家券商下调了盈利预测。"),
    ("{c}完成{m}亿元中期票据发行", "募集资金将用于偿还到期债务，票面利率与同期限品种相当。"),
    ("{c}拟每10股派现{p}元", "分红方案与上年持平，尚需股东大会审议通过。"),
    ("{c}启动数字化运维试点", "试点覆盖{n}个站点，预计年底评估后决定是否推广。"),
    ("{c}失去{m}亿元订单，由{o}接手", "该合同已执行{n}年，公司坦言将对明年业绩造成不利影响。"),
    ("{c}组织员工开展植树活动", "活动在公司所在地举行，约{m}名员工参加。"),
)
FERRY = (
    (
        "Fire breaks out on Northgate Ferries vessel, 340 evacuated",
        "Lifeboats took all passengers off the Aurora Strand before dawn. Eleven people were treated for smoke.",
    ),
    (
        "Northgate Ferries suspends three routes after engine-room fire",
        "The company halted sailings to inspect sister ships. Thousands of travellers are stranded.",
    ),
    (
        "Northgate Ferries shares plunge 17% after ship fire",
        "The fall is the steepest since the company was listed. Insurers fell as well.",
    ),
    (
        "Regulator opens investigation into Northgate Ferries safety record",
        "Inspectors had warned of faulty fuel lines twice last year, according to documents seen by this desk.",
    ),
    (
        "Northgate Ferries ignored fuel-leak warnings, engineers say",
        "Two former engineers said repairs were postponed to save costs. The company denies wrongdoing.",
    ),
    (
        "Passengers prepare lawsuit against Northgate Ferries",
        "A law firm said more than 200 people had come forward within a day to claim damages.",
    ),
    (
        "Northgate Ferries cut to 'sell' as costs of fire mount",
        "Analysts expect losses of up to £90 million. A rating agency put the debt on watch for a downgrade.",
    ),
    (
        "Coastguard detains two more Northgate Ferries ships over defects",
        "Inspectors found corroded pipes and missing alarms. The vessels may not leave port.",
    ),
    (
        "Northgate Ferries chief executive resigns amid fire scandal",
        "The board accepted the resignation on Tuesday evening. The chair apologised to passengers and crew.",
    ),
    (
        "Northgate Ferries warns of heavy loss, scraps dividend",
        "The company withdrew its forecast for the year and said it was in talks with its banks.",
    ),
    (
        "Unions call strike at Northgate Ferries over unsafe ships",
        "Crews say they will not sail until every vessel has been inspected. The dispute threatens Easter traffic.",
    ),
    (
        "Northgate Ferries faces £40 million fine, minister says",
        "The minister accused the company of a failure of safety culture and promised tougher rules.",
    ),
)
DAIRY = (
    ("穗岚乳业一批次牛奶抽检不合格，监管部门通报", "通报称，涉事批次检出污染物超标，已责令停止销售并立案调查。"),
    ("穗岚乳业紧急召回约60万箱产品", "公司称召回涉及五省，消费者可凭包装退货。多家超市已下架其产品。"),
    ("穗岚乳业开盘跌停", "受抽检不合格消息影响，公司股价开盘跌停，封单超过{m}万手。"),
    ("多家商超下架穗岚乳业全部产品", "一家连锁超市表示，在调查结果公布之前不会恢复销售。"),
    ("穗岚乳业被曝瞒报检验数据", "前员工称，工厂曾多次篡改检验记录。公司未正面回应，只称正在核查。"),
    ("市场监管部门对穗岚乳业立案调查", "调查组已进驻两家工厂，封存产品与记录。公司可能面临高额罚款。"),
    ("穗岚乳业董事长被采取强制措施", "公司公告称，董事长因涉嫌违法被采取强制措施，暂由总经理代行职责。"),
    ("评级机构下调穗岚乳业信用评级", "机构指出，公司现金流恶化，短期偿债压力大，评级展望为负面。"),
    ("穗岚乳业经销商要求退款，部分门店停业", "经销商称退货堆积、损失严重，已联合致函公司要求赔偿。"),
    ("穗岚乳业预告一季度巨额亏损", "公司预计一季度亏损{m}亿元，并撤回全年业绩指引，提示退市风险。"),
    ("消费者起诉穗岚乳业索赔", "律师表示，已接到三百多名消费者委托，拟提起集体诉讼。"),
    ("穗岚乳业债券暴跌，触发临时停牌", "旗下一只债券盘中跌幅超过三成，交易所实施临时停牌。"),
)
ENGLISH_NAMES = ("Maren Holloway", "Idris Pembury", "Tobias Lindqvist", "Saoirse Whitlock", "Petra Vance")
CHINESE_NAMES = ("陆闻舟", "沈砚秋", "顾明澜", "许知遥", "温若川")


ORDINALS = ("third", "fourth", "fifth", "sixth")
TOWNS = {
    "en": ("Saltmere", "Eastwick Cross", "Kelby", "Port Ansell", "Dunmarrow"),
    "zh": ("澄江新区", "临浦镇", "云栖港", "石桥开发区", "南屏市"),
}
WATCHERS = {
    "en": ("Ashdown Research", "Kestrel & Moor", "Fairlight Partners", "Tolland Capital"),
    "zh": ("望岳证券", "清川研究", "启衡资本", "明湖证券"),
}
CLOSERS = {
    "en": (
        "{c}, based in {t}, employs about {k} people.", "Analysts at {w} keep their view of the shares under review.",
        "A spokesman in {t} declined to add to the statement.", "The next trading update is due on {d} June.",
        "{w} counts the group among the mid-sized names of its sector.", "The shares have moved little since January.",
        "Staff in {t} were told at a meeting on Monday morning.", "{name} will speak to investors later this week.",
        "The group last changed its plans in the spring of last year.", "Trading in {t} was otherwise quiet.",
    ),
    "zh": (
        "公司总部位于{t}，现有员工约{k}人。",
        "{w}在研报中维持对该公司的跟踪。", "公司有关负责人在{t}表示，暂无更多信息披露。",
        "下一次定期报告预计于6月{d}日披露。", "{w}将其列为行业中型企业代表。", "年初以来，该股走势较为平稳。",
        "{t}的员工已于周一上午获知相关安排。",
        "{name}将于本周晚些时候与投资者交流。", "去年春季，公司曾调整过经营计划。",
        "{t}当地其他企业经营情况正常。",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """A story before any desk prints it."""

    language: str
    title: str
    text: str
    published: datetime
    reprints: int


def stories(dice: random.Random) -> Iterator[Told]:
    """All stories, those of the two crises first."""
    for crisis, language, begins in ((FERRY, "en", 52.0), (DAIRY, "zh", 47.0)):
        for number, (title, text) in enumerate(crisis):
            hours = begins + number * 1.35 + dice.uniform(0, 0.6)
            filled = [part.format(m=dice.randrange(3, 60)) for part in (title, text)]
            yield Told(language, *filled, START + timedelta(hours=hours), dice.randrange(2, 6))
    told: set[tuple[str, str]] = set()
    while True:
        yield _routine(dice, told)


def _routine(dice: random.Random, told: set[tuple[str, str]]) -> Told:
    """told: phrases that a company had already, as it would be odd to have one twice in three days."""
    language = dice.choice(("en", "zh"))
    names, phrases = (ENGLISH, ROUTINE_EN) if language == "en" else (CHINESE, ROUTINE_ZH)
    # The two in trouble have other things to do than these.
    calm = [name for name in names if name not in ("northgate", "suilan")]
    left = {name: [phrase for phrase in phrases if (name, phrase[0]) not in told] for name in calm}
    company = dice.choice([name for name in calm if left[name]])
    other = dice.choice([name for name in calm if name != company])
    title, text = dice.choice(left[company])
    told.add((company, title))
    slots = {
        "c": names[company], "o": names[other], "n": dice.randrange(2, 9), "m": dice.randrange(12, 480),
        "p": round(dice.uniform(1.5, 9.5), 1), "y": dice.randrange(2031, 2037), "d": dice.randrange(2, 29),
        "name": dice.choice(ENGLISH_NAMES if language == "en" else CHINESE_NAMES), "o_n": dice.choice(ORDINALS),
        "k": dice.randrange(11, 90) * 100, "t": dice.choice(TOWNS[language]), "w": dice.choice(WATCHERS[language]),
    }  # fmt: skip
    hours = dice.uniform(0, 72)
    reprints = dice.choices((0, 1, 2), (7, 2, 1))[0]
    title, *closers = (part.format(**slots) for part in (title, *dice.sample(CLOSERS[language], 3)))
    space = " " if language == "en" else ""
    body = space.join([text.format(**slots), *closers])
    return Told(language, title, body, START + timedelta(hours=hours), reprints)


def items(dice: random.Random) -> list[dict[str, str]]:
    """`NUM_ITEMS` items in the order in which they came."""
    found: list[dict[str, str]] = []
    for number, story in enumerate(stories(dice)):
        desks = dice.sample(DESKS[story.language], min(1 + story.reprints, 5))
        for place, desk in enumerate(desks):
            if len(found) == NUM_ITEMS:
                return sorted(found, key=lambda item: (item["fetched"], item["id"]))
            found.append(_printed(dice, story, number, desk, place))
    raise AssertionError("stories do not end")


def _printed(dice: random.Random, story: Told, number: int, desk: str, place: int) -> dict[str, str]:
    published = story.published + timedelta(minutes=place * dice.uniform(4, 40))
    # One in twenty comes two to five hours late.
    late = timedelta(hours=dice.uniform(2, 5)) if dice.random() < 0.05 else timedelta(minutes=dice.uniform(0.2, 6))
    title, text = (story.title, story.text) if place == 0 else _edited(dice, story, desk)
    return {
        "source": desk,
        "id": f"{number:04d}-{place}",
        "published": _time(published),
        "fetched": _time(published + late),
        "title": title,
        "text": text,
        "url": f"https://news.invalid/{number:04d}/{place}",
        "language": story.language,
    }


def _edited(dice: random.Random, story: Told, desk: str) -> tuple[str, str]:
    """As another desk prints it."""
    kind = dice.choice(("same", "byline", "short", "prefix"))
    if kind == "byline":
        byline = f"By our markets staff. {story.text}" if story.language == "en" else f"本报讯 {story.text}"
        return story.title, byline
    if kind == "short":
        stop = ". " if story.language == "en" else "。"
        return story.title, story.text.partition(stop)[0] + stop.strip()
    if kind == "prefix":
        return (f"{desk}: {story.title}" if story.language == "en" else f"【{desk}】{story.title}"), story.text
    return story.title, story.text


def _time(moment: datetime) -> str:
    return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    (out / "companies.csv").write_text(COMPANIES, encoding="utf-8")
    lines = (json.dumps(item, ensure_ascii=False) for item in items(random.Random(SEED)))
    (out / "items.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
