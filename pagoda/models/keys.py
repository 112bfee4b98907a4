"""Every key that a `config.json` may have: read, refused unless it changes nothing, or harmless.

First station of loading, beside `config` and `refusals`. A key that stands in none of the three is told when a
checkpoint is opened, for it may say something about the computation that nobody here has heard of. The three sets are
held by a test against the config class that transformers has for each family.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pagoda.models.families.family import Family
from pagoda.models.families.own import OWN_KEYS
from pagoda.models.quantization_config import QUANTISED
from pagoda.models.refusals import FACTS, SECOND_NAMES, VALUES

_READ = frozenset({
    "architectures", "bos_token_id", "dtype", "eos_token_id", "hidden_activation", "initializer_range",
    "max_window_layers", "model_type", "original_max_position_embeddings", "rope_parameters", "rope_scaling",
    "torch_dtype", "attention_multiplier", "query_pre_attn_scalar",
})  # fmt: skip
"""Of every family, beside the keys whose values have a rule and those that a family names itself."""
_HARMLESS = frozenset({
    # Names, versions, and what other programs note for themselves
    "_name_or_path", "_commit_hash", "auto_map", "custom_pipelines", "finetuning_task", "is_llama_config", "language",
    "model_name", "name", "prefix", "problem_type", "task_specific_params", "tokenizer_class", "transformers.js_config",
    "transformers_version", "unsloth_fixed", "unsloth_version", "mergekit_version", "id2label", "label2id",
    "num_labels", "base_model_name_or_path", "license", "architecture_version", "version", "_model_name_or_path",
    "_from_model_config", "add_classification_head", "class_num", "pool_type", "norm_type", "activation",
    "use_rotary_pos_emb", "position_embedding_type", "use_gated_activation", "use_parallel_block",
    "use_embedding_sharing", "use_parallel_embedding", "order_of_interleaved_layers", "layer_switch",
    # How transformers runs a network, which is the same network
    "_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal", "_flash_attn_2_enabled",
    "attn_implementation", "_experts_implementation", "cache_implementation", "chunk_size_feed_forward",
    "gradient_checkpointing", "is_decoder", "is_encoder_decoder", "add_cross_attention", "cross_attention_hidden_size",
    "output_attentions", "output_hidden_states", "output_router_logits", "pretraining_tp", "pruned_heads",
    "return_dict", "tf_legacy_loss", "tie_encoder_decoder", "torchscript", "use_bfloat16", "use_cache",
    "use_flash_attention", "use_flash_attn", "use_dynamic_ntk", "fp16", "bf16", "fp32", "fused_bias_dropout",
    "softmax_in_fp32", "attn_config", "onnx", "use_qkv_bias_in_cache",
    # Training alone
    "attention_dropout", "attn_pdrop", "classifier_dropout", "dropout", "embd_pdrop", "embedding_dropout",
    "emb_dropout_prob", "attn_dropout_prob", "ffn_dropout", "hidden_dropout", "hidden_dropout_prob", "layerdrop",
    "resid_pdrop", "residual_dropout", "init_std", "initializer_factor", "router_aux_loss_coef", "router_jitter_noise",
    "router_z_loss_coef", "aux_loss_alpha", "seq_aux", "neftune_noise_alpha", "mup",
    "embed_dropout", "z_loss_weight", "mup_denominator",
    # Tokens, which the tokenizer and the template name again
    "cls_token_id", "decoder_start_token_id", "eod_token_id", "im_end_id", "im_start_id", "mask_token_id",
    "org_vocab_size", "pad_id", "pad_token_id", "sep_token_id", "text_end_id", "text_start_id", "unk_token_id",
    # What layer_types say, and lengths that max_position_embeddings says, too
    "_sliding_window_pattern", "max_length", "max_seq_len", "max_sequence_length", "model_max_length", "n_ctx",
    "seq_len", "seq_length",
    # Sampling, of configurations older than generation_config.json
    "bad_words_ids", "begin_suppress_tokens", "diversity_penalty", "do_sample", "early_stopping",
    "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty", "forced_bos_token_id", "forced_eos_token_id",
    "length_penalty", "max_new_tokens", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams",
    "num_return_sequences", "output_scores", "remove_invalid_values", "repetition_penalty", "return_dict_in_generate",
    "suppress_tokens", "temperature", "top_k", "top_p", "typical_p",
})  # fmt: skip
"""What changes no logit."""


def kind_of_key(key: str, family: Family) -> str | None:
    """ "read", "refused" (unless its value changes nothing) or "harmless"; None for a key that is not known."""
    if key in _READ or key in VALUES or key in family.aliases or key in family.computes or key in family.facts({}):
        return "read"
    if key in FACTS or key in QUANTISED or key in SECOND_NAMES or key in OWN_KEYS:
        return "refused"
    return "harmless" if key in _HARMLESS else None


def unknown_keys(raw: Mapping[str, Any], family: Family) -> list[str]:
    """The keys of a `config.json` that are in none of the three sets."""
    return sorted(key for key in raw if kind_of_key(key, family) is None)
