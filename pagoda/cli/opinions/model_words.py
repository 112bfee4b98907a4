"""What `pagoda opinions train` and `eval` say, in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.cli.console.messages import CHINESE as CHINESE_MESSAGES
from pagoda.cli.console.messages import Messages


@dataclass(frozen=True)
class ModelWords:
    """Templates of what training and measuring tell a person; heads: of the table's columns."""

    written: str
    nothing: str
    heads: tuple[str, ...]


ENGLISH = ModelWords(
    written="trained on {count} texts, labels {labels}; written to {path}",
    nothing="{folder} holds none of the sets that are known: {names}",
    heads=("set", "trained on", "held out", "figure", "reached", "aim", "CPU s"),
)
CHINESE = ModelWords(
    written="已用 {count} 条文本训练，标签为 {labels}；写入 {path}",
    nothing="{folder} 中没有任何已知的数据集：{names}",
    heads=("数据集", "训练", "留出", "指标", "结果", "目标", "CPU 秒"),
)


def model_words(say: Messages) -> ModelWords:
    """In the language of the command's other messages."""
    return CHINESE if say is CHINESE_MESSAGES else ENGLISH
