"""What `pagoda quantize` says to a person, in English and in Chinese; see `console/messages`, whose rules hold here."""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.cli.console.messages import CHINESE as CHINESE_MESSAGES
from pagoda.cli.console.messages import Messages


@dataclass(frozen=True, kw_only=True)
class QuantizeWords:
    """Every sentence of `pagoda quantize` in one language. columns: of the table of what was lost."""

    costs: str
    layers: str
    line: str
    kept: str
    again: str
    stored_gguf: str
    stored_method: str
    written: str
    matrices: str
    try_it: str
    columns: tuple[str, str, str, str, str, str, str]


ENGLISH = QuantizeWords(
    costs="what each matrix costs",
    layers="layers",
    line="{stage}: {done} of {total}",
    kept="what is done is kept in {work}: the same command goes on from there",
    again="{model} is quantised already ({how}): its copy loses on top of that, and the loss told below is that of the "
    "copy alone; where the checkpoint of floats that it was made from can be had, start from that",
    stored_gguf="the codes of a GGUF file",
    stored_method="by {method}",
    written="{out}: {size:,.1f} MB of weights, {bits:.2f} bits each on average ({schemes}; head: {head})",
    matrices="{count} matrices of {scheme}",
    try_it="try it: {program} chat --model {out}",
    columns=(
        "text",
        "tokens",
        "perplexity of the source",
        "of the copy",
        "change",
        "KL",
        "same likeliest token",
    ),
)

CHINESE = QuantizeWords(
    costs="各矩阵的代价",
    layers="层",
    line="{stage}：{done} / {total}",
    kept="已完成的部分保存在 {work}：再次运行同一条命令会从这里继续",
    again="{model} 已经量化过（{how}）：再量化会在此基础上继续损失，下面给出的只是这一次的损失；"
    "如果能得到原来的浮点权重，请从原权重开始",
    stored_gguf="GGUF 文件中的编码",
    stored_method="方法为 {method}",
    written="{out}：权重共 {size:,.1f} MB，平均每个权重 {bits:.2f} 位（{schemes}；输出层：{head}）",
    matrices="{count} 个矩阵为 {scheme}",
    try_it="试一试：{program} chat --model {out}",
    columns=("文本", "token 数", "原模型困惑度", "量化后", "变化", "KL", "最可能 token 相同"),
)


def quantize_words(say: Messages) -> QuantizeWords:
    """The same language as the rest of the command line."""
    return CHINESE if say is CHINESE_MESSAGES else ENGLISH
