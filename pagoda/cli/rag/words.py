"""What `pagoda rag` says to a person, in English and in Chinese; see `messages`, whose rules hold here."""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.cli.console.messages import CHINESE as CHINESE_MESSAGES
from pagoda.cli.console.messages import Messages


@dataclass(frozen=True, kw_only=True)
class RagWords:
    """Every sentence of `pagoda rag` in one language."""

    looking: str
    embedding: str
    skipped: str
    warned: str
    report: str
    options_kept: str
    option_changed: str
    watching: str
    sources: str
    place: str
    place_page: str
    place_row: str
    place_sheet: str
    unsupported: str
    dropped: str
    missing: str
    confidence: str
    chat_welcome: str
    chat_prompt: str
    chat_goodbye: str
    exporting: str
    exported: str
    imported: str
    status: str
    status_empty: str
    evaluated: str
    evaluated_recall: str
    evaluated_answers: str
    evaluated_abstention: str
    feedback: str


ENGLISH = RagWords(
    looking="looking at files",
    embedding="embedding sentences",
    skipped="skipped {source}: {reason}",
    warned="{source} {warning}",
    report=(
        "{added} added, {updated} updated, {deleted} deleted, {unchanged} unchanged, {skipped} skipped: "
        "{num_chunks} chunks in {store} after {seconds:.1f} s"
    ),
    options_kept="as this index was made: {options}",
    option_changed="{option} was {before} for this index and is {now} from now on",
    watching="watching for changes; Ctrl-C ends",
    sources="Sources:",
    place="[{number}] {source}, line {line}",
    place_page="[{number}] {source}, page {page}",
    place_row="[{number}] {source}, row {line}",
    place_sheet="[{number}] {source}, sheet {page}, row {line}",
    unsupported="no source bears this: {sentence}",
    dropped="left out: {what}",
    missing="no document has: {what}",
    confidence="({answerer}, confidence {confidence:.2f}, {seconds:.2f} s)",
    chat_welcome="Ask the documents; an empty line or Ctrl-D leaves.",
    chat_prompt="question",
    chat_goodbye="Goodbye.",
    exporting="writing chunks",
    exported="{documents} documents, {chunks} chunks written to {file}",
    imported="{documents} documents, {chunks} chunks imported into {store}",
    status=(
        "{path}\n  {num_documents} documents, {num_chunks} chunks, {num_characters:,} characters, {size} MB\n"
        "  embedder {embedder} ({dimension} dimensions), store {store}\n  generation {generation}, changed {updated_at}"
    ),
    status_empty="{path} holds no documents yet: {program} rag index PATH adds some",
    evaluated="{count} questions in {seconds:.1f} s",
    evaluated_recall="right source among the first 1: {first:.3f}   first {k}: {among:.3f}   ({count} questions)",
    evaluated_answers="answers: exact {exact:.3f}   F1 {f1:.3f}   ({count} questions)",
    evaluated_abstention=(
        "abstention: {rejected:.3f} of {num_unanswerable} that the documents do not hold, "
        "wrongly {wrongly:.3f} of {num_answerable} that they do"
    ),
    feedback="{entries} ratings, {questions} questions whose right answer they tell",
)

CHINESE = RagWords(
    looking="查看文件",
    embedding="计算句向量",
    skipped="跳过 {source}：{reason}",
    warned="{source}：{warning}",
    report=(
        "新增 {added}，更新 {updated}，删除 {deleted}，未变 {unchanged}，跳过 {skipped}："
        "{store} 中共 {num_chunks} 个片段，用时 {seconds:.1f} 秒"
    ),
    options_kept="沿用此索引的选项：{options}",
    option_changed="此索引的 {option} 原为 {before}，现改为 {now}，以后沿用",
    watching="正在监视文件变化；按 Ctrl-C 结束",
    sources="来源：",
    place="[{number}] {source} 第 {line} 行",
    place_page="[{number}] {source} 第 {page} 页",
    place_row="[{number}] {source} 第 {line} 行",
    place_sheet="[{number}] {source} 第 {page} 张表第 {line} 行",
    unsupported="没有来源支持这句话：{sentence}",
    dropped="未用到：{what}",
    missing="文档中没有出现：{what}",
    confidence="（{answerer}，置信度 {confidence:.2f}，{seconds:.2f} 秒）",
    chat_welcome="请向文档提问；空行或 Ctrl-D 退出。",
    chat_prompt="问题",
    chat_goodbye="再见。",
    exporting="写出片段",
    exported="已将 {documents} 个文档、{chunks} 个片段写入 {file}",
    imported="已将 {documents} 个文档、{chunks} 个片段导入 {store}",
    status=(
        "{path}\n  {num_documents} 个文档，{num_chunks} 个片段，{num_characters:,} 个字符，{size} MB\n"
        "  向量模型 {embedder}（{dimension} 维），存储 {store}\n  第 {generation} 代，更新于 {updated_at}"
    ),
    status_empty="{path} 中还没有文档：用 {program} rag index PATH 添加",
    evaluated="{count} 个问题，用时 {seconds:.1f} 秒",
    evaluated_recall="正确来源排在第 1：{first:.3f}   前 {k}：{among:.3f}   （{count} 个问题）",
    evaluated_answers="答案：完全一致 {exact:.3f}   F1 {f1:.3f}   （{count} 个问题）",
    evaluated_abstention=(
        "拒答：文档中没有答案的 {num_unanswerable} 个问题拒答了 {rejected:.3f}，"
        "有答案的 {num_answerable} 个误拒 {wrongly:.3f}"
    ),
    feedback="{entries} 条评价，其中 {questions} 个问题有正确答案",
)


def rag_words(say: Messages) -> RagWords:
    """In the language of the command's other messages."""
    return CHINESE if say is CHINESE_MESSAGES else ENGLISH
