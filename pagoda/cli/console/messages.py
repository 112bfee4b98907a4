"""What the command line says to a person, in English and in Chinese.

One record per language with the same fields, so that a sentence missing in one of them cannot go unnoticed.
`{names}` are filled in by `str.format` where the sentence is spoken. Errors themselves come from `errors` in English.
"""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.cli.console.environment import Language


@dataclass(frozen=True, kw_only=True)
class Messages:
    """Every sentence of the command line in one language."""

    error: str
    usage: str
    internal_error: str
    interrupted: str
    summary_one: str
    summary_many: str
    generation_failed: str
    loading: str
    loaded: str
    was_loaded: str
    loaded_label: str
    chat_welcome: str
    chat_help: str
    chat_prompt: str
    chat_goodbye: str
    chat_cleared: str
    chat_stopped: str
    chat_cut: str
    chat_dropped: str
    chat_rate: str
    chat_system_is: str
    chat_system_none: str
    chat_system_set: str
    chat_saved: str
    chat_unknown_command: str
    first_is_pulled: str
    first_is_builtin: str
    first_not_had: str
    serve_listening: str
    serve_ready: str
    serve_open: str
    serve_ignored: str
    serve_visible_key: str
    serve_draining: str
    serve_cut: str
    plan_model: str
    plan_parameters: str
    plan_active_parameters: str
    plan_stored: str
    plan_budget_free: str
    plan_budget_given: str
    plan_weights: str
    plan_kv_of_token: str
    plan_requests: str
    plan_no_request: str
    serve_restarting: str
    serve_restarted: str
    serve_restart_failed: str
    plan_measuring: str
    plan_without_weights: str
    plan_fleet: str
    plan_borrowed: str
    plan_columns: str
    plan_nothing_fits: str
    plan_nothing_meets: str
    plan_fewer_bits: str
    plan_cheapest: str
    plan_fastest: str
    plan_chosen: str
    simulate_title: str
    simulate_refused: str
    simulate_mean: str
    simulate_targets: str
    train_started: str
    train_resumed: str
    train_step: str
    train_stopping: str
    train_stopped: str
    train_done: str
    train_curves: str
    train_no_curves: str


ENGLISH = Messages(
    error="error: {message}",
    usage="{message}; {command} --help shows what there is",
    internal_error="{kind}: {message} (this is a fault of pagoda's: PAGODA_TRACEBACK=1 shows where)",
    interrupted="stopped by Ctrl-C",
    summary_one="1 request, {tokens} tokens in {seconds:.1f} s: {rate:,.0f} tokens/s",
    summary_many="{requests} requests, {tokens} tokens in {seconds:.1f} s: {rate:,.0f} tokens/s",
    generation_failed="prompt {number}: {reason}",
    loading="loading",
    loaded="loaded {nodes} nodes and {relations} relations",
    was_loaded="{nodes} nodes and {relations} relations are in the graph already: nothing to do",
    loaded_label="{label}: {count} nodes, key {key}",
    chat_welcome="Type a message; /help lists commands, Ctrl-C stops an answer, Ctrl-D leaves.",
    chat_help=(
        "/clear           forget the conversation\n"
        "/system [TEXT]   set the system message, or show it; /system - removes it\n"
        "/save FILE       write the conversation as JSON\n"
        "/quit            leave (so do Ctrl-C and Ctrl-D here)"
    ),
    chat_prompt="you",
    chat_goodbye="Goodbye.",
    chat_cleared="The conversation is forgotten.",
    chat_stopped="(stopped)",
    chat_cut="(cut off: the answer reached its {tokens} tokens; --max-tokens sets how many)",
    chat_dropped="(the context of {limit} tokens is full: the oldest {count} messages were dropped)",
    chat_rate="({tokens} tokens, {rate:,.0f} tokens/s)",
    chat_system_is="System message: {text}",
    chat_system_none="There is no system message.",
    chat_system_set="The system message is set.",
    chat_saved="Saved {count} messages to {path}.",
    chat_unknown_command="There is no command {command}; {hint}",
    first_is_pulled="no model is named: taking {model}, which was pulled; `{builtin}` names what ships with pagoda",
    first_is_builtin=(
        "no model is named: taking the built-in story-teller, which knows no facts; `{program} pull {model}` (98 MB) "
        "brings one that answers questions, and any path or hub id can be named"
    ),
    first_not_had="{model} could not be fetched: {reason}",
    serve_listening="listening on {url}, loading the model",
    serve_ready="ready after {seconds:.2f} s ({phases}); chat in a browser: {url}   OpenAI API: {url}/v1",
    serve_open="{host} can be reached from other machines and no API key is set: anyone may use the model",
    serve_ignored="accepted, and without effect here: {flags}",
    serve_visible_key="--api-key can be read by everyone on this machine: PAGODA_API_KEY or --api-key-file cannot",
    serve_draining="shutting down: running requests have {seconds:.0f} s; a second signal stops at once",
    serve_cut="requests that still ran were cut off",
    serve_restarting="restarting {count} replicas one by one; requests are answered meanwhile",
    serve_restarted="all replicas are new",
    serve_restart_failed="the replicas could not be restarted ({reason}): what still runs goes on",
    plan_measuring="measuring this machine: some seconds",
    plan_without_weights="{directory} holds no weights: planned from its config.json alone",
    plan_model="{model} ({architecture}): {parameters}, context of {context:,} tokens",
    plan_parameters="{count:,} parameters",
    plan_active_parameters="{count:,} parameters, {active:,} of them for a token",
    plan_stored="{size} of weights in the file ({types}); codes stay codes, floats take the dtype below",
    plan_budget_free="in {size} of memory (free now), of which weights and KV cache may take all:",
    plan_budget_given="in {size} of memory (given), of which weights and KV cache may take all:",
    plan_weights="weights",
    plan_kv_of_token="KV cache a token",
    plan_requests="requests of {length:,} tokens",
    plan_no_request="do not fit",
    plan_fleet=(
        "{count} x {device}, prompts of {input_len:,} and answers of {output_len:,} tokens; memory in GiB a device"
    ),
    plan_borrowed="{device} was not measured: efficiencies are those of {borrowed}",
    plan_columns="format|TPxPPxn|weights|step|KV|fit|at once|TTFT ms|TPOT ms|tokens/s",
    plan_nothing_fits="nothing fits: take shorter requests, or more or larger devices",
    plan_nothing_meets="nothing fits and meets the target: ask for less, or more or larger devices",
    plan_fewer_bits=", or fewer bits (--formats)",
    plan_cheapest="cheapest that meets the target",
    plan_fastest="most tokens a second",
    plan_chosen=(
        "{why}: {held}, TP {tensor} x PP {pipeline}; replicas: {replicas}, devices: {devices}; {rate:,.0f} tokens/s. "
        "For each replica:\n\n{command}"
    ),
    simulate_title="{model} on {devices}: {replicas} replicas, {routing}",
    simulate_refused="{count} x refused: {message}",
    simulate_mean="mean",
    simulate_targets="targets",
    train_started="{name}: {parameters:.1f}M parameters, {steps} steps on {device}, into {directory}",
    train_resumed="resuming after step {step}",
    train_step="step {step}/{steps}  loss {loss:.3f}  {rate:,.0f} tokens/s  {eta} left",
    train_stopping="Ctrl-C: saving after this step; press it again to leave at once",
    train_stopped="stopped after step {step}, saved in {checkpoint}; the same command goes on from there",
    train_done="the model is in {checkpoint}: {program} chat --model {checkpoint}",
    train_curves="curves are in {path}",
    train_no_curves="no curves were drawn: {reason}",
)

CHINESE = Messages(
    error="错误：{message}",
    usage="{message}；{command} --help 列出可用的参数",
    internal_error="{kind}: {message}（这是 pagoda 自身的缺陷；设 PAGODA_TRACEBACK=1 可查看位置）",
    interrupted="已按 Ctrl-C 停止",
    summary_one="1 个请求，{tokens} 个 token，用时 {seconds:.1f} 秒：{rate:,.0f} tokens/s",
    summary_many="{requests} 个请求，{tokens} 个 token，用时 {seconds:.1f} 秒：{rate:,.0f} tokens/s",
    generation_failed="第 {number} 个提示：{reason}",
    loading="载入",
    loaded="载入了{nodes}个节点和{relations}条关系",
    was_loaded="{nodes}个节点和{relations}条关系已在图中，无需载入",
    loaded_label="{label}：{count}个节点，键 {key}",
    chat_welcome="请输入消息；/help 列出命令，Ctrl-C 停止回答，Ctrl-D 退出。",
    chat_help=(
        "/clear           清空对话\n"
        "/system [文字]   设置系统消息；不带文字则显示它；/system - 将其删除\n"
        "/save 文件       把对话存为 JSON\n"
        "/quit            退出（在此处按 Ctrl-C 或 Ctrl-D 亦可）"
    ),
    chat_prompt="你",
    chat_goodbye="再见。",
    chat_cleared="对话已清空。",
    chat_stopped="（已停止）",
    chat_cut="（回答到 {tokens} 个 token 为止；--max-tokens 可调整）",
    chat_dropped="（{limit} 个 token 的上下文已满：最早的 {count} 条消息已移除）",
    chat_rate="（{tokens} 个 token，{rate:,.0f} tokens/s）",
    chat_system_is="系统消息：{text}",
    chat_system_none="没有系统消息。",
    chat_system_set="系统消息已设置。",
    chat_saved="已将 {count} 条消息存入 {path}。",
    chat_unknown_command="没有命令 {command}；{hint}",
    first_is_pulled="未指定模型：使用已拉取的 {model}；`{builtin}` 指自带的模型",
    first_is_builtin=(
        "未指定模型：使用自带的讲故事模型，它不懂常识；`{program} pull {model}`（98 MB）可取得能回答问题的模型，"
        "也可以指定任何路径或 hub id"
    ),
    first_not_had="未能取得 {model}：{reason}",
    serve_listening="正在监听 {url}，加载模型中",
    serve_ready="{seconds:.2f} 秒后就绪（{phases}）；浏览器对话：{url}   OpenAI API：{url}/v1",
    serve_open="其他机器可以访问 {host}，且未设置 API key：任何人都能使用该模型",
    serve_ignored="已接受，但在此不起作用：{flags}",
    serve_visible_key="本机任何用户都能看到 --api-key 的值：请改用 PAGODA_API_KEY 或 --api-key-file",
    serve_draining="正在关闭：进行中的请求还有 {seconds:.0f} 秒；再次发送信号则立即停止",
    serve_cut="仍在进行的请求已被中断",
    serve_restarting="正在逐个重启 {count} 个副本；期间请求照常应答",
    serve_restarted="所有副本均已更新",
    serve_restart_failed="副本未能重启（{reason}）：仍在运行的继续运行",
    plan_measuring="正在测量本机：需要几秒",
    plan_without_weights="{directory} 里没有权重：只按 config.json 计算",
    plan_model="{model}（{architecture}）：{parameters}，上下文 {context:,} 个 token",
    plan_parameters="{count:,} 个参数",
    plan_active_parameters="{count:,} 个参数，每个 token 用到其中 {active:,} 个",
    plan_stored="文件中权重 {size}（{types}）；量化码保持不变，浮点数采用下面的 dtype",
    plan_budget_free="内存 {size}（当前可用），可全部用于权重和 KV 缓存：",
    plan_budget_given="内存 {size}（给定），可全部用于权重和 KV 缓存：",
    plan_weights="权重",
    plan_kv_of_token="每个 token 的 KV 缓存",
    plan_requests="{length:,} 个 token 的请求",
    plan_no_request="放不下",
    plan_fleet="{count} x {device}，提示 {input_len:,} 个 token，回答 {output_len:,} 个 token；内存为每个设备的 GiB",
    plan_borrowed="{device} 未经测量：效率取自 {borrowed}",
    plan_columns="格式|TPxPPxn|权重|单步|KV|容纳|并发|TTFT ms|TPOT ms|tokens/s",
    plan_nothing_fits="放不下：请缩短请求，或用更多、更大的设备",
    plan_nothing_meets="没有既放得下又达到目标的布局：请降低目标，或用更多、更大的设备",
    plan_fewer_bits="，或更少的比特（--formats）",
    plan_cheapest="达到目标的最省布局",
    plan_fastest="每秒 token 最多的布局",
    plan_chosen=(
        "{why}：{held}，TP {tensor} x PP {pipeline}；副本 {replicas} 个，设备 {devices} 个；{rate:,.0f} tokens/s。"
        "每个副本的命令：\n\n{command}"
    ),
    simulate_title="{model}，{devices}：{replicas} 个副本，{routing}",
    simulate_refused="拒绝了 {count} 个：{message}",
    simulate_mean="平均",
    simulate_targets="目标",
    train_started="{name}：{parameters:.1f}M 参数，{steps} 步，设备 {device}，写入 {directory}",
    train_resumed="从第 {step} 步之后继续",
    train_step="第 {step}/{steps} 步  损失 {loss:.3f}  {rate:,.0f} tokens/s  剩余 {eta}",
    train_stopping="Ctrl-C：本步完成后保存；再按一次立即退出",
    train_stopped="在第 {step} 步后停止，已保存到 {checkpoint}；再次运行同一命令即可继续",
    train_done="模型在 {checkpoint}：{program} chat --model {checkpoint}",
    train_curves="曲线在 {path}",
    train_no_curves="未画曲线：{reason}",
)


def messages_in(language: Language) -> Messages:
    """All sentences in one language."""
    return CHINESE if language is Language.ZH else ENGLISH
