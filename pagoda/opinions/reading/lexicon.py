"""Word lists of our own: what stands in where nobody has trained a model, and says so by its version.

On the path *item -> opinion of a company*. Words are weighed by how near they stand to the company: its own clause
counts whole, the others a quarter; a negation turns what follows it around. Loughran and McDonald 2011, "When Is a
Liability Not a Liability?", say why finance needs lists of its own; theirs are not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from pagoda.opinions.reading.marked import Marked, heaviest
from pagoda.opinions.reading.spelling import folded
from pagoda.opinions.reading.text_model import TextReading
from pagoda.opinions.story import LABELS, OpinionWord

VERSION = "lexicon-1"
_UP = """
gain rise surge jump soar climb rally rebound recover advance beat top outperform upgrade buy bullish profit growth grow
record boost improve strong stronger strength win award approve approval expand expansion dividend buyback raise higher
up positive optimistic success launch partner partnership breakthrough exceed increase accelerate outpace high best
healthy robust upbeat lift swell double triple secure
"""
_DOWN = """
fall drop slump plunge tumble slide sink decline lose loss lower miss cut downgrade sell bearish weak weaker weakness
slow slowdown warn warning probe investigate investigation lawsuit sue fine penalty fraud scandal recall default debt
bankruptcy insolvent layoff layoffs strike halt suspend delay negative pessimistic risk concern fear crash dip shrink
deficit resign resignation breach hack shortage worse worst low ban reject plummet crisis violate violation dispute
underperform down decrease
"""
_UP_ZH = """
上涨 大涨 涨停 走高 拉升 反弹 创新高 新高 增长 大增 劲增 预增 扭亏 盈利
利好 增持 回购 分红 派息 中标 签约 签订 获批 突破
超预期 看好 买入 推荐 上调 提升 改善 复苏 领涨 净流入
合作 扩产 投产 上市 获得 受益 强势 翻倍 井喷 升 涨 红盘 加仓 龙头 抄底 起飞 牛
"""
_DOWN_ZH = """
下跌 大跌 跌停 走低 跳水 下滑 下降 亏损 预亏 预减 减少 利空 减持 质押 冻结
违规 处罚 罚款 立案 调查 诉讼 起诉 违约 逾期 破产
退市 爆雷 暴雷 造假 欺诈 跑路 召回 停产 裁员 辞职 失联 被查 警示 问询
监管函 下调 卖出 看空 套牢 割肉 崩盘 暴跌 领跌 净流出 拖累 风险
跌 垃圾 骗 坑 亏 砸盘 出货 腰斩 清仓 恶化 低迷 终止 失败 拖欠 非法 涉嫌
"""
_NOT = frozenset("not no never without fails failed denies denied avoid avoids despite ends".split())  # noqa: SIM905
_NOT_ZH = re.compile(r"(?:不|未|没|无|否认|避免|并非|终止|难)[\u4e00-\u9fff]?$")
_CLAUSE = re.compile(r"[,;:.!?，；：。！？\n]+|\s(?:while|but|whereas|as|after|although)\s")
_HAN = re.compile(r"[\u3400-\u9fff]")
_ELSEWHERE = 0.25
_NEUTRAL, _STEEPNESS = 0.55, 1.4
"""A score without words, and what a word adds."""


class Lexicon:
    """Scores by LABELS."""

    def __init__(self) -> None:
        self._weights = {**dict.fromkeys(_UP.split(), 1.0), **dict.fromkeys(_DOWN.split(), -1.0)}
        chinese = {**dict.fromkeys(_UP_ZH.split(), 1.0), **dict.fromkeys(_DOWN_ZH.split(), -1.0)}
        self._weights |= chinese
        longest_first = sorted(chinese, key=lambda word: (-len(word), word))
        self._pattern = re.compile("|".join(longest_first) + r"|[a-z]+(?:'[a-z]+)?")

    def scores(self, texts: Sequence[Marked]) -> np.ndarray:
        """float32 [n, 3]."""
        found = np.zeros((len(texts), len(LABELS)), np.float32)
        for row, text in enumerate(texts):
            total = float(np.tanh(sum(weight for _, _, weight in self._found(text)) / 2) * 2)
            found[row] = (_STEEPNESS * total, _NEUTRAL, -_STEEPNESS * total)
        return found

    def read(self, texts: Sequence[Marked]) -> TextReading:
        """Scores, and a text's words on demand."""
        return TextReading(self.scores(texts), lambda row, label: self.carried(texts[row], label))

    def carried(self, text: Marked, label: int) -> tuple[OpinionWord, ...]:
        """The words of the list that spoke for a label; none speak for neutral."""
        sign = {"positive": 1.0, "neutral": 0.0, "negative": -1.0}[LABELS[label]]
        return heaviest(text.text, ((start, end, sign * weight) for start, end, weight in self._found(text)))

    def _found(self, text: Marked) -> Iterator[tuple[int, int, float]]:
        """(start, end, weight) of each word of the lists."""
        plain = folded(text.text)
        cuts = [0, *(match.end() for match in _CLAUSE.finditer(plain)), len(plain)]
        for first, last in pairwise(cuts):
            own = not text.target or any(first <= start < last for start, _ in text.target)
            turned = 1.0
            for match in self._pattern.finditer(plain, first, last):
                word, (start, end) = match.group(), match.span()
                if word in _NOT:
                    turned = -1.0
                    continue
                weight = self.weight(word)
                if weight and not any(low <= start < high for low, high in (*text.target, *text.others)):
                    around = -1.0 if _HAN.match(word) and _NOT_ZH.search(plain[first:start]) else turned
                    yield start, end, weight * around * (1.0 if own else _ELSEWHERE)
                    turned = 1.0

    @property
    def words(self) -> tuple[str, ...]:
        """All words of the lists."""
        return tuple(self._weights)

    def weight(self, word: str) -> float:
        """A word's, or that of the form it was made of: "surged", "gains", "cutting"."""
        for ending in ("", "s", "es", "d", "ed", "ing", "ped", "ping", "ting"):
            for stem in (word.removesuffix(ending), word.removesuffix(ending) + "e" * (ending == "ing")):
                if word.endswith(ending) and stem in self._weights:
                    return self._weights[stem]
        return _IRREGULAR.get(word, 0.0)


_IRREGULAR = {
    "rose": 1.0,
    "grew": 1.0,
    "won": 1.0,
    "fell": -1.0,
    "lost": -1.0,
    "sank": -1.0,
    "losses": -1.0,
    "sold": -1.0,
}
