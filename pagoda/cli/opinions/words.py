"""What `pagoda opinions` says, in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.cli.console.messages import CHINESE as CHINESE_MESSAGES
from pagoda.cli.console.messages import Messages


@dataclass(frozen=True)
class OpinionsWords:
    """Templates of what the watch tells a person."""

    playing: str
    fault: str
    played: str
    stopped: str
    no_alerts: str
    alert: str
    alert_open: str
    alert_withdrawn: str
    page: str
    exported: str
    told: str


ENGLISH = OpinionsWords(
    playing="reading items",
    fault="passed over: {fault}",
    played="{new} items taken, {known} known already: {stories} stories of {companies} companies in {seconds:.1f} s",
    stopped="stopped; the same command goes on from there",
    no_alerts="no alerts",
    alert="{time}  {severity:<8}  {name}: {rule} ({facts})",
    alert_open="  still open",
    alert_withdrawn="  withdrawn: late items corrected it",
    page="the page of the watch: {url}/opinions",
    exported="{count} rows in {path}",
    told="{count} alerts told",
)
CHINESE = OpinionsWords(
    playing="读取条目",
    fault="已跳过：{fault}",
    played="新收 {new} 条，已有 {known} 条：{companies} 家公司的 {stories} 个事件，用时 {seconds:.1f} 秒",
    stopped="已停止；再次运行同一命令即可继续",
    no_alerts="没有预警",
    alert="{time}  {severity:<8}  {name}：{rule}（{facts}）",
    alert_open="  尚未结束",
    alert_withdrawn="  已撤回：迟到的条目更正了它",
    page="监测页面：{url}/opinions",
    exported="{path} 中有 {count} 行",
    told="已发送 {count} 条预警",
)


def opinions_words(say: Messages) -> OpinionsWords:
    """In the language of the command's other messages."""
    return CHINESE if say is CHINESE_MESSAGES else ENGLISH
