"""What `csrc/module.cpp` makes: addresses and sizes, elements as 0 (float32) or 1 (bfloat16), nothing checked."""

from collections.abc import Sequence

def instruction_sets() -> list[str]: ...
def packed_bytes(outputs: int, depth: int, dtype: int) -> int: ...

class CodeFormat:
    """How codes lie (`csrc/codes.h`): `lie`, `scale` and `shift` are numbers of its enumerations."""

    address: int

    def __init__(
        self, lie: int, scale: int, shift: int, group: int, steps_every: int, zero: int, table: Sequence[int]
    ) -> None: ...
    def packed_bytes(self, outputs: int, depth: int) -> int: ...

class AttentionPlan: ...

def plan_attention(
    query_start_loc: Sequence[int],
    seq_lens: Sequence[int],
    tables: int,
    table_stride: int,
    slots: int,
    num_slots: int,
    group: int,
    block_size: int,
    window: int,
    chunk: int = 0,
) -> AttentionPlan: ...

class Kernels:
    instruction_set: str

    def __init__(self, instruction_set: str, num_threads: int) -> None: ...
    def pack_weight(self, weight: int, packed: int, outputs: int, depth: int, dtype: int) -> None: ...
    def pack_codes(
        self,
        codes: int,
        scales: int,
        shifts: int,
        scale_steps: int,
        shift_steps: int,
        outputs: int,
        depth: int,
        format: CodeFormat,
        packed: int,
    ) -> None: ...
    def take_rows(
        self, packed: int, outputs: int, depth: int, codes: int, rows: int, num_rows: int, y: int, dtype: int
    ) -> None: ...
    def linear(
        self,
        x: int,
        x_stride: int,
        rows: int,
        depth: int,
        outputs: int,
        weight: int,
        codes: int,
        bias: int,
        y: int,
        dtype: int,
    ) -> None: ...
    def largest(
        self,
        x: int,
        x_stride: int,
        rows: int,
        depth: int,
        outputs: int,
        weight: int,
        codes: int,
        indices: int,
        dtype: int,
    ) -> None: ...
    def rms_norm(self, x: int, weight: int, y: int, rows: int, size: int, eps: float, dtype: int) -> None: ...
    def silu_and_mul(
        self, gate: int, up: int, y: int, rows: int, size: int, gate_stride: int, up_stride: int, dtype: int
    ) -> None: ...
    def rotate(
        self,
        x: int,
        cosine: int,
        sine: int,
        y: int,
        rows: int,
        x_stride: int,
        heads: int,
        head_dim: int,
        rotary_dim: int,
        dtype: int,
    ) -> None: ...
    def store_kv(
        self,
        key: int,
        value: int,
        key_stride: int,
        value_stride: int,
        k_cache: int,
        v_cache: int,
        block_stride: int,
        kv_heads: int,
        head_dim: int,
        plan: AttentionPlan,
        dtype: int,
        in_bytes: bool,
    ) -> None: ...
    def attend(
        self,
        query: int,
        query_stride: int,
        k_cache: int,
        v_cache: int,
        block_stride: int,
        output: int,
        output_stride: int,
        kv_heads: int,
        group: int,
        head_dim: int,
        scale: float,
        softcap: float,
        plan: AttentionPlan,
        dtype: int,
        in_bytes: bool,
    ) -> None: ...

def ranks_bytes(size: int, capacity: int) -> int: ...

class Ranks:
    """Of one group (`csrc/ranks.h`), over memory that all of them have mapped."""

    address: int

    def __init__(self, segment: int, rank: int, size: int, capacity: int) -> None: ...
    def all_reduce(self, x: int, y: int, n: int, dtype: int) -> None: ...
    def all_gather(self, x: int, rows: int, row_bytes: Sequence[int], y: int) -> None: ...
    def abort(self) -> None: ...

def channel_bytes(capacity: int) -> int: ...

class Channel:
    def __init__(self, segment: int, capacity: int) -> None: ...
    def send(self, bytes: int, count: int) -> None: ...
    def receive(self, bytes: int, count: int) -> None: ...
    def abort(self) -> None: ...

_Linear = tuple[int, int, int, int]
_Layer = tuple[Sequence[int], Sequence[_Linear], int, int]

class Decoder:
    def __init__(
        self,
        kernels: Kernels,
        sizes: Sequence[int],
        numbers: Sequence[float],
        dtype: int,
        embedding: tuple[int, int, bool, int],
        layers: Sequence[_Layer],
        norm: int,
        ranks: int,
    ) -> None: ...
    def forward(
        self,
        token_ids: int,
        positions: int,
        rows: int,
        plans: Sequence[AttentionPlan],
        rotations: Sequence[tuple[int, int, int]],
        cache: int,
        layer_bytes: int,
        value_bytes: int,
        block_stride: int,
        in_bytes: bool,
        hidden: int,
    ) -> None: ...

class EncoderKernels:
    def __init__(self, instruction_set: str) -> None: ...
    def multiply(
        self,
        x: int,
        rows: int,
        depth: int,
        dtype: int,
        weight: int,
        scales: int,
        bias: int,
        outputs: int,
        y: int,
        y_dtype: int,
        with_gelu: bool,
    ) -> None: ...
    def attend(self, told: int, y: int, texts: int, length: int, heads: int, head_dim: int, dtype: int) -> None: ...
    def add_and_normalise(
        self,
        x: int,
        added: int,
        weight: int,
        bias: int,
        narrow: int,
        rows: int,
        size: int,
        eps: float,
        dtype: int,
    ) -> None: ...

def pack_bytes(weight: int, outputs: int, depth: int, packed: int) -> None: ...
