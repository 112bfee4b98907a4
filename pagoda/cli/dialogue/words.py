"""What `pagoda dialogue` says to a person, in English and in Chinese; see `messages`, whose rules hold here."""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.cli.console.messages import CHINESE as CHINESE_MESSAGES
from pagoda.cli.console.messages import Messages


@dataclass(frozen=True, kw_only=True)
class DialogueWords:
    """Every sentence of `pagoda dialogue` in one language."""

    opening: str
    readying: str
    welcome: str
    prompt: str
    goodbye: str
    help: str
    unknown_command: str
    new_session: str
    nothing_to_show: str
    not_utf8: str
    showing: str
    not_showing: str
    intent: str
    slots: str
    acts: str
    state: str
    requested: str
    missing: str
    suspended: str
    results: str
    action: str
    statement: str
    parameters: str
    rows: str
    timings: str
    none: str
    trained: str
    training: str
    part_layers: str
    part_folds: str
    part_steps: str
    report: str
    picture: str
    evaluated: str
    evaluated_slots: str
    evaluated_scope: str


ENGLISH = DialogueWords(
    opening="opening the graph and the understanding in {folder} (the first time takes some seconds)",
    readying="making the model ready",
    welcome="Say what you are looking for; /show tells how it was understood, /help what else. Ctrl-D leaves.",
    prompt="you",
    goodbye="Goodbye. --session {session} goes on with this conversation.",
    help="/show  the last turn in full    /show on, /show off  every turn    /new  a new conversation    /quit",
    unknown_command="there is no command {command}; {hint}",
    new_session="A new conversation.",
    nothing_to_show="Nothing was said yet.",
    not_utf8="a line holds bytes that are no UTF-8 and was not read: send it as UTF-8, such as by iconv -f GB18030",
    showing="Every turn is shown in full from now on.",
    not_showing="Only replies are shown from now on.",
    intent="intent      {intent} ({confidence:.2f}, {route})",
    slots="slots       {slots}",
    acts="acts        {acts}",
    state="state       {intent}: {slots}",
    requested="asked for   {requested}",
    missing="missing     {missing}",
    suspended="on hold     {suspended}",
    results="shown       {results}",
    action="action      {action}",
    statement="Cypher      {statement}",
    parameters="parameters  {parameters}",
    rows="rows        {count}",
    timings="time        {timings}",
    none="none",
    trained="trained on {count} sentences in {seconds:.1f} s ({languages}): {folder}",
    training="learning the sentences",
    part_layers="embedding them",
    part_folds="how sure to be",
    part_steps="training",
    report="figures in {path}",
    picture="confusion matrix in {path}",
    evaluated="{name:<13} intent {accuracy}   whole sentence {sentence}   {median:.1f} ms (95 %: {slow:.1f} ms)",
    evaluated_slots="{name:<13} slots: precision {precision:.3f}  recall {recall:.3f}  F1 {f1:.3f}",
    evaluated_scope="{name:<13} out of scope: recall {recall}   false rejects {rejects}",
)

CHINESE = DialogueWords(
    opening="正在打开 {folder} 中的图数据库和理解模型（第一次需要几秒）",
    readying="正在准备模型",
    welcome="想找什么请直接说；/show 查看理解过程，/help 查看其他命令，Ctrl-D 退出。",
    prompt="您",
    goodbye="再见。用 --session {session} 可以接着这次对话。",
    help="/show  显示上一轮的全部内容    /show on、/show off  每轮都显示或不显示    /new  新的对话    /quit  退出",
    unknown_command="没有命令 {command}；{hint}",
    new_session="新的对话。",
    nothing_to_show="还没有说过话。",
    not_utf8="有一行不是 UTF-8 编码，没有读取：请转成 UTF-8 再发，例如 iconv -f GB18030",
    showing="从现在起每轮都显示全部内容。",
    not_showing="从现在起只显示回答。",
    intent="意图    {intent}（{confidence:.2f}，{route}）",
    slots="槽位    {slots}",
    acts="动作    {acts}",
    state="状态    {intent}：{slots}",
    requested="询问    {requested}",
    missing="还缺    {missing}",
    suspended="搁置    {suspended}",
    results="已列出  {results}",
    action="决策    {action}",
    statement="Cypher  {statement}",
    parameters="参数    {parameters}",
    rows="行数    {count}",
    timings="用时    {timings}",
    none="无",
    trained="用 {count} 个句子训练了 {seconds:.1f} 秒（{languages}）：{folder}",
    training="学习句子",
    part_layers="计算嵌入",
    part_folds="校准把握",
    part_steps="训练",
    report="指标在 {path}",
    picture="混淆矩阵在 {path}",
    evaluated="{name:<13} 意图 {accuracy}   整句 {sentence}   {median:.1f} 毫秒（95%：{slow:.1f} 毫秒）",
    evaluated_slots="{name:<13} 槽位：精确率 {precision:.3f}  召回率 {recall:.3f}  F1 {f1:.3f}",
    evaluated_scope="{name:<13} 域外：召回率 {recall}   误拒率 {rejects}",
)


def dialogue_words(say: Messages) -> DialogueWords:
    """In the language of the command's other messages."""
    return CHINESE if say is CHINESE_MESSAGES else ENGLISH
