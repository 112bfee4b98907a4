"""vLLM's names that pagoda knows without having them: accepted without effect, or refused with what to write instead.

In front of the token's path: EngineArgs, SamplingParams, `LLM`'s methods and `pagoda serve` read their vLLM names here.
What works is a field or a parameter there; a name that is in neither place is a misspelling. The lists are vLLM 0.33's
and names that older programs still carry; docs/vllm.md is made from this file. Foundation room: no torch.
"""

from __future__ import annotations

from pagoda.parameter_rules import NameTable, RefusedName


def _each(groups: dict[str, str]) -> dict[str, str]:
    """{why: "name name"} as {name: why}."""
    return {name: why for why, names in groups.items() for name in names.split()}


def _refuse(instead: str, names: str = "", **harmless: object) -> dict[str, RefusedName]:
    """Names that are refused for one reason; a keyword's value, or any of a tuple, asks for nothing and is accepted."""
    values = {name: value if isinstance(value, tuple) else (value,) for name, value in harmless.items()}
    return {name: RefusedName(instead, values.get(name, ())) for name in (*names.split(), *values)}


_NO_GPU_GRAPHS = "steps run as they are, nothing is compiled or captured"
_ONE_HOST = "ranks of one host share memory, and those of several find one another through Ray"
_TEXT_ONLY = "models take text only"
_NO_ADAPTERS = "no adapters are applied"
_LOADING = "safetensors are always mapped and read tensor by tensor"
_OTHER_LAYERS = "it concerns layers that these architectures do not have"
_OBSERVING = "/metrics and the access log tell what there is"
_ADAPTERS = "adapters are not applied: merge them into the weights (peft: merge_and_unload) and serve the result"
_DRAFTS = 'use speculative_config={"method": "ngram", "num_speculative_tokens": 5}, or with a smaller "model"'
_NO_DIFFUSION = "models write one token after the other: leave it out"
_RANKS = (
    "ranks are counted by tensor_parallel_size and pipeline_parallel_size, on several hosts with "
    "distributed_executor_backend='ray', and replicas are a server's (pagoda serve --data-parallel-size): leave it at 1"
)
_TRANSFER = "keys and values and weights stay in one engine: leave it out"
_OWN_LAYERS = "code of a program does not run inside the engine: leave it out"
_TAKES_TEXT = "models take text only: leave images, audio and video out"
_TWO_MODES = "every model generates, embeds and scores here: leave it out; classification heads are not run"
_CHECKPOINT = "a model is a directory with config.json and safetensors, or a GGUF file: leave it out"

ENGINE_SETTINGS = NameTable(
    without_effect=_each(
        {
            _NO_GPU_GRAPHS: "enforce_eager compilation_config cudagraph_capture_sizes max_cudagraph_capture_size "
            "optimization_level performance_mode ir_op_priority kernel_config enable_flashinfer_autotune monokernel "
            "max_seq_len_to_capture max_context_len_to_capture cuda_graph_sizes jit_monitor_mode jit_monitor_verbose",
            "pagoda has kernels of its own (kernels=...)": "attention_backend attention_config disable_cascade_attn "
            "linear_backend moe_backend sparse_indexer_topk_backend use_fp64_gumbel model_impl",
            _ONE_HOST: "disable_custom_all_reduce master_addr master_port "
            "cpu_distributed_timeout_seconds dcp_comm_backend dcp_q_replicate "
            "dcp_kv_cache_interleave_size cp_kv_cache_interleave_size data_parallel_address data_parallel_rpc_port "
            "data_parallel_backend enable_hc_sp enable_expert_parallel enable_batch_sharded_sampling "
            "enable_ep_weight_filter all2all_backend elastic_ep_max_dp_size dp_sync_interval ubatch_size enable_dbo "
            "dbo_decode_token_threshold dbo_prefill_token_threshold disable_nccl_for_dp_synchronization eplb_config "
            "enable_eplb expert_placement_strategy max_parallel_loading_workers worker_use_ray ray_workers_use_nsight "
            "enable_nccl_comm_suspend enable_shm_tensor_arena _api_process_count _api_process_rank",
            "the operating system places memory and threads": "numa_bind numa_bind_nodes numa_bind_cpus",
            "preempted requests are computed again, nothing is swapped out": "swap_space preemption_mode",
            _LOADING: "safetensors_load_strategy safetensors_prefetch_num_threads safetensors_prefetch_block_size "
            "model_loader_extra_config ignore_patterns use_tqdm_on_load pt_load_map_location",
            "code in a checkpoint is never run, and none is needed": "trust_remote_code code_revision",
            "blocks are found by SHA-256": "prefix_caching_hash_algo prefix_cache_retention_interval prefix_match_unit",
            "the scheduler has one kind of step, and every admitted request fits": "async_scheduling watermark "
            "scheduler_reserve_full_isl prefill_schedule_interval disable_hybrid_kv_cache_manager "
            "num_scheduler_steps multi_step_stream_outputs max_num_partial_prefills max_long_partial_prefills "
            "use_v2_block_manager disable_async_output_proc scheduler_delay_factor num_lookahead_slots "
            "long_prefill_token_threshold_adaptive kv_sharing_fast_prefill swa_bounded_replay",
            "stream_chat and servers send what is new after every step": "stream_interval",
            "llguidance compiles all shapes of text": "guided_decoding_backend",
            _TEXT_ONLY: "limit_mm_per_prompt media_io_kwargs mm_processor_kwargs mm_processor_cache_gb "
            "mm_processor_cache_type mm_hasher_algorithm mm_shm_cache_max_object_size_mb mm_encoder_tp_mode "
            "mm_encoder_attn_backend mm_encoder_attn_dtype mm_encoder_fp8_scale_path mm_encoder_fp8_scale_save_path "
            "mm_encoder_fp8_scale_save_margin interleave_mm_strings skip_mm_profiling video_pruning_rate "
            "video_pruning_method mm_tensor_ipc mm_processor_device mm_ipc_gpu_memory_gb mm_device_do_normalize "
            "disable_chunked_mm_input disable_mm_preprocessor_cache language_model_only allowed_local_media_path "
            "allowed_media_domains renderer_num_workers",
            _NO_ADAPTERS: "max_loras max_lora_rank default_mm_loras fully_sharded_loras max_cpu_loras lora_dtype "
            "lora_target_modules lora_extra_vocab_size long_lora_scaling_factors max_prompt_adapters "
            "max_prompt_adapter_token enable_tower_connector_lora "
            "specialize_active_lora enable_mixed_moe_lora_format enable_moe_shared_loras max_lora_cls_labels",
            _OTHER_LAYERS: "mamba_config mamba_cache_dtype mamba_ssm_cache_dtype mamba_block_size mamba_cache_mode "
            "mamba_backend mamba_ssu_algorithm enable_mamba_cache_stochastic_rounding mamba_cache_philox_rounds "
            "enable_mamba_shared_prefix_checkpoint replayssm_buffer_len use_replayssm gdn_prefill_backend "
            "kda_prefill_backend kda_decode_backend engram_config",
            _OBSERVING: "enable_log_requests disable_log_requests aggregate_engine_logging kv_cache_metrics "
            "kv_cache_metrics_sample cudagraph_metrics custom_histogram_buckets enable_mfu_metrics "
            "enable_layerwise_nvtx_tracing enable_logging_iteration_details enable_mm_processor_stats "
            "show_hidden_metrics_for_version collect_detailed_traces per_request_spec_decode_metrics profiler_config",
            "the logger is called pagoda": "logging_config log_level log_config_file",
            "the engine ends at once": "shutdown_timeout watchdog_config fault_tolerance_config enable_fault_tolerance",
            "nothing sleeps": "sleep_mode_backend sleep_mode_offload_cudagraph sleep_preserve_parameter_names "
            "enable_cumem_allocator",
            "pagoda reads no VLLM_* variable": "fail_on_environ_validation",
            "quantised weights are told by config.json": "allow_deprecated_quantization",
            "nothing is kept on another device": "offload_backend cpu_offload_params offload_num_in_group "
            "offload_prefetch_step offload_params kv_offloading_backend",
        }
    ),
    refused={
        **_refuse(
            _RANKS,
            "data_parallel_hybrid_lb data_parallel_external_lb data_parallel_multi_port_external_lb node_rank "
            "data_parallel_rank data_parallel_start_rank enable_elastic_ep",
            nnodes=1,
            prefill_context_parallel_size=1,
            decode_context_parallel_size=1,
            data_parallel_size=1,
            data_parallel_size_local=1,
        ),
        **_refuse('choose with device="cuda" and CUDA_VISIBLE_DEVICES', "device_ids"),
        **_refuse(
            "how weights are stored is told by config.json, and quantization=int8 or int4 rounds floats: leave it out",
            "quantization_config",
        ),
        **_refuse("keys and values have the weights' dtype: leave it out", "kv_cache_dtype_skip_layers"),
        **_refuse("weights and blocks stay on the device: leave it out", "cpu_offload_gb offload_group_size"),
        **_refuse("blocks stay on the device: leave it out", "kv_offloading_size"),
        **_refuse(
            "the tokenizer is read from tokenizer.json or tokenizer.model: leave it out",
            tokenizer_mode=("auto", "hf", "slow", "fast"),
        ),
        **_refuse(_CHECKPOINT, load_format=("auto", "hf", "safetensors", "gguf"), config_format=("auto", "hf")),
        **_refuse(_CHECKPOINT, "hf_config_path model_weights io_processor_plugin model_class_overrides"),
        **_refuse('write it into hf_overrides, as hf_overrides={"rope_scaling": {...}}', "rope_scaling rope_theta"),
        **_refuse(_TWO_MODES, runner=("auto", "generate", "pooling"), convert=("auto", "none", "embed")),
        **_refuse(_TWO_MODES, task=("auto", "generate", "embed", "embedding", "score")),
        **_refuse("PoolingParams says how a prompt is pooled", "pooler_config override_pooler_config"),
        **_refuse("set max_model_len to the window instead", "disable_sliding_window"),
        **_refuse("prompts are text or token ids: leave it out", "enable_prompt_embeds enable_mm_embeds"),
        **_refuse(_TAKES_TEXT, "mm_encoder_only"),
        **_refuse(_ADAPTERS, "enable_lora enable_lora_bias"),
        **_refuse("set max_num_batched_tokens", "max_num_scheduled_tokens"),
        **_refuse("set max_num_seqs", "max_num_active_seqs"),
        **_refuse("use pagoda serve --max-num-waiting", "max_num_queued_reqs max_num_queued_tokens"),
        **_refuse("set max_model_len and give full prompts", "tokens_only"),
        **_refuse("log-probabilities are raw_logprobs: leave it out", logprobs_mode="raw_logprobs"),
        **_refuse(
            "SamplingParams has logit_bias, allowed_token_ids, bad_words and structured_outputs", "logits_processors"
        ),
        **_refuse(_OWN_LAYERS, "worker_extension_cls scheduler_cls additional_config", worker_cls="auto"),
        **_refuse(
            _DRAFTS,
            "spec_method spec_model spec_tokens speculative_model num_speculative_tokens",
        ),
        **_refuse(_NO_DIFFUSION, "diffusion_config"),
        **_refuse(
            _TRANSFER,
            "kv_transfer_config kv_events_config ec_transfer_config ec_manager_config weight_transfer_config",
        ),
        **_refuse("use pagoda serve --otlp-endpoint URL", "otlp_traces_endpoint"),
        **_refuse("answers keep all text: split it in the program", "reasoning_parser reasoning_parser_plugin"),
        **_refuse("answers keep all text: leave it out", "reasoning_config"),
        **_refuse(
            "StructuredOutputsParams says it for each request, and llguidance compiles it",
            structured_outputs_config=tuple({"backend": name} for name in ("auto", "guidance", "xgrammar", "outlines")),
        ),
        **_refuse("keys and values are not scaled: leave it out", "calculate_kv_scales"),
        **_refuse("there is no kernel for Neuron: leave it out", "override_neuron_config"),
        **_refuse("delete the LLM and build it again later", "enable_sleep_mode"),
        **_refuse(
            "the engine does not record it: leave it out",
            "enable_return_routed_experts return_sampling_mask enable_trace_replay watermark_config aux_output_config",
        ),
    },
)
"""Of EngineArgs, and so of LLM, AsyncLLM and EngineChatModel."""

SAMPLING_PARAMETERS = NameTable(
    renamed={"guided_decoding": "structured_outputs"},
    without_effect=_each(
        {
            "parameters are copied where they must be": "skip_clone",
            "text is held back only as far as a stop string needs it": "output_text_buffer_length",
            "a stream tells what is new after every step": "stream_interval",
        }
    ),
    refused={
        **_refuse(
            "best_of was removed, as it was in vLLM: ask for n sequences with logprobs=0 and keep the one with the "
            "highest cumulative_logprob",
            "best_of",
        ),
        **_refuse("call LLM.beam_search with BeamSearchParams", "use_beam_search early_stopping", length_penalty=1.0),
        **_refuse("use logit_bias, allowed_token_ids, bad_words or structured_outputs", "logits_processors"),
        **_refuse("cut the prompt before, and give its end as prompt_token_ids", "truncate_prompt_tokens"),
        **_refuse("set max_tokens: the text of a thought is not counted apart", "thinking_token_budget"),
        **_refuse("set frequency_penalty or repetition_penalty", "repetition_detection"),
        **_refuse(
            "ask for logprobs or prompt_logprobs and pick from them",
            "logprob_token_ids prompt_logprob_token_ids prompt_logprob_start",
        ),
        **_refuse("logprobs come as one dict a position: leave it out", "flat_logprobs"),
        **_refuse("the engine does not do it: leave it out", "watermarking routed_experts_prompt_start"),
        **_refuse("the engine does not do it: leave it out", "trace_decode_token_ids"),
    },
)
STRUCTURED_PARAMETERS = NameTable(
    without_effect=_each({"llguidance compiles all shapes of text": "backend backend_options disable_fallback"}),
    refused=_refuse('write "additionalProperties": false into the schema', "disable_additional_properties"),
)
POOLING_PARAMETERS = NameTable(
    renamed={"use_activation": "normalize"},
    without_effect=_each({"embeddings come in one piece": "output_kind requires_token_ids"}),
    refused={
        **_refuse("say it by the method: LLM.embed or LLM.score", task=("embed",)),
        **_refuse("classification heads are not run: leave it out", "softmax activation"),
        **_refuse("the last token's state is the embedding: leave it out", "step_tag_id returned_token_ids"),
        **_refuse("the last token's state is the embedding: leave it out", "late_interaction_params"),
        **_refuse("cut the text before: leave it out", "late_chunking_params truncate_prompt_tokens"),
        **_refuse("the prefix cache gives the same numbers: leave it out", "skip_reading_prefix_cache"),
        **_refuse("nothing reads it: leave it out", "extra_kwargs"),
    },
)
BEAM_PARAMETERS = NameTable(
    refused=_refuse(
        "beams go through the whole vocabulary: leave it out", "structured_outputs allowed_token_ids watermarking"
    )
)
CALLS = NameTable(
    refused={
        **_refuse(_ADAPTERS, "lora_request prompt_adapter_request"),
        **_refuse(_TAKES_TEXT, "mm_processor_kwargs"),
        **_refuse("give prompts={'prompt_token_ids': ...}, or a list of them", "prompt_token_ids"),
        **_refuse("give SamplingParams(structured_outputs=...)", "guided_options_request"),
        **_refuse("say it in PoolingParams", "dimensions normalize"),
        **_refuse(
            "tokenise in the program: prompt_token_ids=llm.get_tokenizer().encode(...)",
            "tokenization_kwargs truncate_prompt_tokens",
        ),
        **_refuse("message parts are read in either form: leave it out", chat_template_content_format="auto"),
        **_refuse("it is read from chat_template_kwargs or nowhere: leave it out", "reasoning_parser_kwargs"),
        **_refuse(_RANKS, "data_parallel_rank session_id kv_hints"),
        **_refuse("requests are not traced offline: leave it out", "trace_headers"),
        **_refuse("answers keep all text: leave it out", "reasoning_ended"),
        **_refuse("time is the engine's: leave it out", "arrival_time"),
        **_refuse("give both in the prompt: {'prompt': ..., 'prompt_token_ids': ...}", "prompt_text"),
        **_refuse("texts are embedded as they are: leave it out", "chat_template score_template"),
        **_refuse("let the requests end before", "reset_running_requests reset_connector"),
        **_refuse("figures are at a server's /metrics: leave it out", "stat_loggers"),
    },
    without_effect=_each(
        {
            "the engine starts with the first request": "start_engine_loop usage_context enable_multiprocessing",
            "outputs are those of what was enqueued": "output_type",
        }
    ),
)
"""Of the calls that bring prompts: LLM.generate, chat, embed, encode, score, beam_search, AsyncLLM.generate, ..."""
PROMPT_KEYS = NameTable(
    refused={
        **_refuse(
            _TAKES_TEXT,
            "multi_modal_data multi_modal_uuids mm_processor_kwargs media_io_kwargs encoder_prompt decoder_prompt",
        ),
        **_refuse("prompts are text or token ids: leave it out", "prompt_embeds prompt_is_token_ids token_type_ids"),
        **_refuse("it is not needed: leave it out", "prompt_token_offsets"),
    },
)
"""Of a prompt that is a mapping."""

_ALWAYS = "it is so without it"
_LOGGING = "the access log has a line of JSON for each request, without texts"
SERVE_FLAGS = NameTable(
    renamed={
        "allowed_origins": "allowed-origin",
        "disable_uvicorn_access_log": "no-access-log",
        "max_num_queued_reqs": "max-num-waiting",
        "otlp_traces_endpoint": "otlp-endpoint",
        "shutdown_timeout": "drain-timeout-s",
        "sse_keep_alive_interval": "keep-alive-s",
    },
    without_effect=_each(
        {
            _ALWAYS: "enable_auto_tool_choice enable_prompt_tokens_details enable_request_id_headers allow_credentials "
            "allowed_methods allowed_headers enable_offline_docs enable_flash_late_interaction "
            "chat_template_content_format",
            _LOGGING: "uvicorn_log_level max_log_len enable_log_outputs enable_log_deltas log_error_stack "
            "enable_server_load_tracking enable_per_request_metrics",
            "requests are bounded by --max-body-bytes": "h11_max_incomplete_event_size h11_max_header_count",
            _TEXT_ONLY: "trust_request_mm_kwargs",
            "one process answers HTTP, another runs the model": "api_server_count data_parallel_supervisor_port "
            "dp_supervisor_probe_interval_s dp_supervisor_probe_timeout_s dp_supervisor_probe_failure_threshold",
            "answers carry pagoda's version": "fingerprint_mode",
            "it concerns an API that is not served": "cohere_is_reasoning_model cohere_format "
            "anthropic_disabled_thinking_effort",
        }
    ),
    refused={
        **_refuse(_ADAPTERS, "lora_modules"),
        **_refuse("give every setting as a flag", "config"),
        **_refuse("serve a port: --host and --port", "uds grpc grpc_port headless"),
        **_refuse("let a proxy take the prefix off", "root_path"),
        **_refuse("let a proxy do it", "middleware ssl_ca_certs ssl_ciphers ssl_cert_reqs enable_ssl_refresh"),
        **_refuse("requests bring chat_template_kwargs of their own", "default_chat_template_kwargs"),
        **_refuse("requests say it themselves", "reasoning_effort_map enable_force_include_usage"),
        **_refuse("a request's own field does it, or nothing", "return_tokens_as_token_ids"),
        **_refuse("answers have the role assistant", response_role="assistant"),
        **_refuse("--tool-call-parser names one that is built in", "tool_parser_plugin tool_server tool_strict_level"),
        **_refuse("leave the tools out of the request", "exclude_tools_when_tool_choice_none"),
        **_refuse("/tokenize and /detokenize tell what a client needs", "enable_tokenizer_info_endpoint"),
        **_refuse("use --no-access-log for all, or filter the log", "disable_access_log_for_endpoints"),
        **_refuse("/openapi.json has no secrets: let a proxy hide it", "disable_fastapi_docs"),
        **_refuse("answers carry pagoda's version", "fingerprint_value"),
        **_refuse("an engine runs on one host", "enable_scale_out"),
    },
)
"""Of `vllm serve`, beside the engine's settings, which are flags too."""
VALUELESS_FLAGS = _each(
    {
        "alone": "enforce_eager monokernel enable_flashinfer_autotune jit_monitor_verbose disable_cascade_attn "
        "use_fp64_gumbel disable_custom_all_reduce dcp_q_replicate enable_hc_sp enable_expert_parallel "
        "enable_batch_sharded_sampling enable_ep_weight_filter enable_dbo disable_nccl_for_dp_synchronization "
        "enable_eplb worker_use_ray ray_workers_use_nsight enable_nccl_comm_suspend enable_shm_tensor_arena "
        "numa_bind use_tqdm_on_load trust_remote_code async_scheduling scheduler_reserve_full_isl "
        "disable_hybrid_kv_cache_manager multi_step_stream_outputs use_v2_block_manager disable_async_output_proc "
        "long_prefill_token_threshold_adaptive kv_sharing_fast_prefill swa_bounded_replay interleave_mm_strings "
        "skip_mm_profiling mm_device_do_normalize disable_chunked_mm_input disable_mm_preprocessor_cache "
        "language_model_only fully_sharded_loras enable_tower_connector_lora specialize_active_lora "
        "enable_mixed_moe_lora_format enable_moe_shared_loras enable_mamba_cache_stochastic_rounding "
        "enable_mamba_shared_prefix_checkpoint use_replayssm enable_log_requests disable_log_requests "
        "aggregate_engine_logging kv_cache_metrics cudagraph_metrics enable_mfu_metrics "
        "enable_layerwise_nvtx_tracing enable_logging_iteration_details enable_mm_processor_stats "
        "enable_fault_tolerance sleep_mode_offload_cudagraph enable_cumem_allocator fail_on_environ_validation "
        "allow_deprecated_quantization data_parallel_hybrid_lb data_parallel_external_lb "
        "data_parallel_multi_port_external_lb enable_elastic_ep disable_sliding_window enable_prompt_embeds "
        "enable_mm_embeds mm_encoder_only enable_lora enable_lora_bias tokens_only enable_sleep_mode "
        "enable_return_routed_experts return_sampling_mask enable_trace_replay enable_auto_tool_choice "
        "enable_prompt_tokens_details enable_request_id_headers allow_credentials enable_offline_docs "
        "enable_flash_late_interaction enable_log_outputs enable_log_deltas log_error_stack "
        "enable_server_load_tracking enable_per_request_metrics trust_request_mm_kwargs cohere_is_reasoning_model "
        "grpc headless enable_ssl_refresh enable_force_include_usage return_tokens_as_token_ids "
        "disable_fastapi_docs exclude_tools_when_tool_choice_none enable_tokenizer_info_endpoint enable_scale_out"
    }
)
"""Flags of vLLM's that stand alone."""

_UNLOAD = "delete it and build it again later"
_WEIGHTS = "weights are those of the checkpoint: save the new ones and build the engine again"
_PROFILE = "profile the program: py-spy, or torch.profiler around the call"
METHODS: dict[str, str] = _each(
    {
        _UNLOAD: "sleep wake_up is_sleeping release_kv_cache_memory checkpoint_prepare checkpoint_restore",
        _WEIGHTS: "init_weight_transfer_engine shutdown_weight_transfer_engine start_weight_update update_weights "
        "start_draft_weight_update finish_weight_update update_weight_version get_weight_version set_weight_version "
        "compute_weight_checksums",
        _PROFILE: "start_profile stop_profile",
        _ADAPTERS: "add_lora remove_lora list_loras pin_lora",
        "code of a program does not run inside the engine": "collective_rpc apply_model",
        "ask a server's /metrics; a request's own times are in RequestOutput.metrics": "get_metrics do_log_stats "
        "do_log_stats_with_interval",
        "it serves generate and embed": "get_supported_tasks",
        "ask is_running, or check_health": "get_status should_keep_api_server_alive",
        "llm_engine.config has the network's facts, llm_engine.max_model_len the context": "model_config vllm_config "
        "get_model_config",
        "an engine's ranks are those that it was started with": "get_world_size "
        "has_unfinished_requests_dp scale_elastic_ep handle_fault "
        "get_external_elastic_ep_status get_kv_event_sources notify_kv_transfer_request_rejected",
        _TAKES_TEXT: "reset_mm_cache reset_encoder_cache",
        "give the prompts a cache_salt of their own": "reset_prefix_cache",
        "give LLM.chat all conversations at once": "enqueue_chat",
        "abort requests, or send none": "pause_generation resume_generation is_paused",
        "too many waiting requests are refused at the door": "check_admission get_num_queued_tokens",
        "from_engine_args takes EngineArgs": "from_vllm_config",
        "classification heads are not run: take LLM.generate with StructuredOutputsParams(choice=[...])": "classify",
        "reward heads are not run: LLM.generate with prompt_logprobs gives log-probabilities": "reward",
        "the tokenizer is chosen at the start: LLM(model, tokenizer=...)": "set_tokenizer",
    }
)
"""Methods that LLM, LLMEngine or AsyncLLM does not have -> what to do instead."""
TOKENIZER: dict[str, str] = _each(
    {
        "encode gives the ids of a text, encode_each of many": "batch_encode_plus encode_plus tokenize batch_encode",
        "decode each": "batch_decode",
        "token_to_id has the id of a piece": "convert_tokens_to_ids get_vocab vocab get_added_vocab",
        "token_text shows the token of an id": "convert_ids_to_tokens convert_tokens_to_string",
        "all_special_ids has their ids": "all_special_tokens special_tokens_map additional_special_tokens",
        "prompts of different lengths run together without it": "pad pad_token pad_token_id padding_side",
        "max_model_len counts: llm.llm_engine.max_model_len": "model_max_length",
        "ask for what llm_engine.parts.path names": "name_or_path save_pretrained",
    }
)
"""Members of transformers' tokenizers that ours does not have -> what to do instead."""
ROOT: dict[str, str] = {
    "initialize_ray_cluster": "ranks are processes of one host: leave it out",
    "ModelRegistry": "a model family is a file in pagoda/models: see docs/contributing.md",
    "ClassificationOutput": METHODS["classify"],
    "ClassificationRequestOutput": METHODS["classify"],
}
"""Names at vLLM's root that are not here -> what to do instead."""
