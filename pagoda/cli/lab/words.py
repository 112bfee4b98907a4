"""What `pagoda lab` says, in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.cli.console.messages import CHINESE as CHINESE_MESSAGES
from pagoda.cli.console.messages import Messages


@dataclass(frozen=True)
class LabWords:
    """Templates of what the laboratory tells a person."""

    started: str
    timing: str
    step: str
    ended: str
    diverged: str
    stopping: str
    stopped: str
    report: str
    claims: str
    kept: str
    positions: str


ENGLISH = LabWords(
    started="{name}: {runs} runs ({arms} arms, {seeds} seeds), {done} of them done, into {directory}",
    timing="{name}: measuring what norms cost, {widths} widths",
    step="run {run}/{runs}  {arm}  seed {seed}  step {step}/{steps}  loss {loss:.3f}",
    ended="run {run}/{runs}  {arm}  seed {seed}  {metric} {value:.3f}",
    diverged="run {run}/{runs}  {arm}  seed {seed}  diverged",
    stopping="Ctrl-C: saving after this step; press it again to leave at once",
    stopped="stopped; the same command goes on from there",
    report="the report is {path}",
    claims="the claims are in {path}",
    kept="{name}: results are read from {path}",
    positions="perplexity by position is in {path}",
)
CHINESE = LabWords(
    started="{name}：{runs} 次训练（{arms} 个方案，{seeds} 个种子），已完成 {done} 次，写入 {directory}",
    timing="{name}：测量归一化的耗时，{widths} 种宽度",
    step="第 {run}/{runs} 次  {arm}  种子 {seed}  第 {step}/{steps} 步  损失 {loss:.3f}",
    ended="第 {run}/{runs} 次  {arm}  种子 {seed}  {metric} {value:.3f}",
    diverged="第 {run}/{runs} 次  {arm}  种子 {seed}  发散",
    stopping="Ctrl-C：本步完成后保存；再按一次立即退出",
    stopped="已停止；再次运行同一命令即可继续",
    report="报告在 {path}",
    claims="各项说法的检验结果在 {path}",
    kept="{name}：结果读自 {path}",
    positions="各位置的困惑度在 {path}",
)


def lab_words(say: Messages) -> LabWords:
    """In the language of the command's other messages."""
    return CHINESE if say is CHINESE_MESSAGES else ENGLISH
