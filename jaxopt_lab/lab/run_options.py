"""Options of every run, whatever its method, task and model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    DECAY,
    NON_NEGATIVE,
    POSITIVE,
    SHARE,
    UNIT,
    Interval,
)

AT_LEAST_ONE = Interval(1)


@dataclass(frozen=True)
class RunOptions:
    """Training, its length, its devices, and its files."""

    method: str = "sam"
    """the method to train with; its own options are listed below"""
    base: str = "momentum"
    """the optimizer behind a link or inside a wrapper; not used by optimizers"""
    task: str = "digits"
    """the data set and its goal"""
    model: str = "auto"
    """the network; auto: the task's own choice"""
    steps: int = 2000
    """number of training steps"""
    batch_size: int = 64
    """examples in a batch"""
    precision: Literal["float32", "bf16"] = "float32"
    """type in which the model computes; bf16: bfloat16, while parameters, optimizer,
    loss and statistics stay float32. For accelerators: CPUs are slower in it"""
    quantize: str = ""
    """bits in training: w8a8, w4a8g8, w8a8m8v8. w, a, g: the products of kernels, dense
    and convolutions; steps of weights by outputs, of activations and gradients by
    tokens, or by examples of convolutions. m, v: moments of the optimizer of 4096
    elements or more, stored as codes. Parameters, biases, norms, embeddings and
    products of two activations stay as they are; kernels inside of a loop (lstm) are
    refused, quantize_keep= leaves them out. Products of rounded values in floating
    arithmetic: no speed"""
    quantize_keep: str = ""
    """kernels whose products quantize= leaves as they are: a regular expression of
    their paths, head or layers/0/state"""
    micro_batches: int = 1
    """parts of a batch whose gradients are accumulated; the same step, less memory"""
    seed: int = 0
    """the first seed; it gives the initial weights, the data order and the dropout"""
    seeds: int = 1
    """number of consecutive seeds, trained at once in one program"""
    mesh: str = "auto"
    """the devices, as name:size pairs: data:4,model:2; a bare name takes the rest. The
    batch is cut over data, several seeds over seeds (seeds:4,data:2). auto: all
    devices, seeds first, where they are more than the cores of one processor and
    divide the work"""
    coordinator: str = ""
    """address of process 0, host:port, where several processes train together; auto:
    as the cluster's environment says. empty: one process"""
    processes: int = 0
    """number of processes, with coordinator=host:port"""
    process: int = -1
    """number of this process, from 0, with coordinator=host:port"""
    style: Literal["jit", "shard_map", "pmap"] = "jit"
    """parallelism over the devices: by the compiler, by collectives written out, or in
    jax's classic form; the same numbers"""
    reduce: Literal["float32", "bfloat16"] = "float32"
    """type in which gradients are sent between devices; bfloat16: half the bytes, one
    rounding more"""
    zero: bool = False
    """divide the optimizer state over the data axis (ZeRO, stage 1)"""
    rules: str = ""
    """sharding rules of the parameters: regex=-,model;regex=model. empty: the
    model's own"""
    batch_stats: Literal["global", "local"] = "global"
    """whether batch normalisation sees the whole batch or each device's part"""
    seed_mode: Literal["auto", "unroll", "vmap", "scan"] = "auto"
    """loop over the seeds in the program; auto: unrolled for convolutions on CPU"""
    schedule: str = "cosine"
    """the learning rate after the warm-up: constant; cosine or linear, falling to its
    end; wsd, constant and then falling over the last steps; steps, multiplied at
    milestones; or module:function of your own, fn(steps, peak) -> schedule"""
    warmup: float = 0.0
    """part of the steps in which the learning rate rises linearly from zero"""
    end_rate: float = 0.0
    """last learning rate, as a part of the largest; for cosine, linear and wsd"""
    cooldown: float = 0.2
    """part of the steps, the last ones, in which the rate of schedule=wsd falls"""
    milestones: str = "0.5,0.75"
    """parts of the steps after which the rate of schedule=steps is multiplied"""
    rate_factor: float = 0.1
    """what it is multiplied with"""
    weight_decay_type: Literal["decoupled", "l2"] = "decoupled"
    """decoupled: weights shrink by learning rate times weight_decay; l2: weight_decay
    times the weights joins the clipped gradient, and so the moments"""
    weight_decay_mask: Literal["all", "kernels"] = "all"
    """the parameters that decay; kernels: those of two axes or more, no biases and no
    scales of norms"""
    rate_rules: str = ""
    """factors of the learning rate, by parameter: regex=factor;regex=factor, searched
    in the path (head/bias), the first that is found counts. They scale the whole
    update, so that 0 freezes"""
    decay_rules: str = ""
    """factors of the weight decay, by parameter, as rate_rules"""
    clip_norm: float = 0.0
    """largest global norm of the gradient that the optimizer gets (behind a sharpness
    link: of the perturbed gradient); 0: any"""
    ema: float = 0.0
    """decay of an average of the weights that is kept and tested beside them (ema_
    before the names of its records), such as 0.999; it grows from 2/11 to this within
    the first steps. 0: none"""
    loss: str = "cross_entropy"
    """the loss of training, a loss of the catalog; tests report the cross-entropy"""
    regularizer: str = "none"
    """a regularizer of the catalog, whose penalty of the layers' outputs is added to
    the loss of training"""
    recipe: str = "none"
    """a recipe of the catalog in place of the plain training step; on one device"""
    controller: str = "none"
    """a controller of the catalog, by which the batch grows: batch_size is the first
    one, of micro_batches parts, whose number changes. The run ends after as many
    examples as steps of batch_size have, and the schedule goes by examples"""
    label_smoothing: float = 0.0
    """probability that the target spreads over all classes"""
    augment: str = "none"
    """random changes of training images: crop, shifted by up to an eighth; flip,
    mirrored; crop_flip; data transforms of the catalog; several, with commas, in their
    order (options of one: augment.NAME, of several: erase.NAME, mixup.NAME)"""
    image_size: int = 0
    """pixels a side to which images of a TFDS set are brought while they are streamed
    from its folder; 0: the set is read into memory as it is"""
    workers: int = 0
    """processes that read a streamed set for each seed; 0: threads"""
    data_dir: str = ""
    """folder (text tasks: file) of the data; empty: the task's own place"""
    start_from: str = ""
    """begin with the weights of a run (its folder, the newest checkpoint) or of a file
    .npz or .safetensors, of export or with PyTorch's names for the same layers; empty:
    drawn at random"""
    head: str = "keep"
    """with start_from: keep all weights; new: those of the last layer, called head, are
    drawn at random; or a regular expression of the parameters that are"""
    freeze: str = ""
    """regular expression of parameters that stay as they are, searched in their paths
    (convs/0, ^(?!head)); running statistics of a frozen layer still move"""
    out: str = ""
    """folder of the run; empty: a new one below runs/. An existing one is resumed"""
    existing: Literal["resume", "overwrite", "continue"] = "resume"
    """with an existing run: resume it if its configuration is the same, start again, or
    continue it with another configuration"""
    log_every: int = 50
    """steps between two records of training loss and accuracy"""
    val: float = 0.0
    """share of the training set that is kept aside; the best checkpoint and the best
    accuracy are then chosen on it, and on the test set without"""
    eval_every: int = 200
    """steps between two tests; 0: at the end only"""
    patience: int = 0
    """end the run after this many tests, one after another, without a better accuracy
    (on the validation set with val, else on the test set); 0: never"""
    save_every: int = 500
    """steps between two checkpoints; 0: at the end only"""
    keep: int = 3
    """checkpoints kept, besides the best"""
    curvature: Literal["off", "top", "all"] = "off"
    """measure the Hessian at every test: its largest eigenvalue; or also trace,
    density, layers and the rise along the steps of SAM and ASAM"""
    curvature_examples: int = 256
    """training examples over which it is measured, always the same"""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """at a NaN or infinite loss: end the run, or skip the step"""
    progress: Literal["auto", "on", "off"] = "auto"
    """a progress line, redrawn on a terminal (on and auto alike); elsewhere a line for
    each record of the log"""
    report: Literal["on", "off"] = "on"
    """write report.html at the end, one page with outcome, curves and mistakes"""
    tensorboard: bool = False
    """also write events for TensorBoard into the run folder"""
    profile: str = ""
    """steps:100-110 traces these steps by jax's profiler, into profile in the run
    folder, and prints the five longest operations"""
    writers: str = ""
    """who gets the records beside metrics.jsonl: csv, tensorboard (both in the run
    folder), wandb, mlflow; several, with commas"""


ACCEPTED: dict[str, Interval] = {
    "steps": AT_LEAST_ONE,
    "batch_size": AT_LEAST_ONE,
    "micro_batches": AT_LEAST_ONE,
    "seed": Interval(0, 2**31 - 1),
    "seeds": AT_LEAST_ONE,
    "warmup": DECAY,
    "end_rate": UNIT,
    "cooldown": SHARE,
    "rate_factor": POSITIVE,
    "val": DECAY,
    "clip_norm": NON_NEGATIVE,
    "ema": DECAY,
    "label_smoothing": DECAY,
    "image_size": NON_NEGATIVE,
    "workers": NON_NEGATIVE,
    "log_every": AT_LEAST_ONE,
    "eval_every": NON_NEGATIVE,
    "save_every": NON_NEGATIVE,
    "patience": NON_NEGATIVE,
    "keep": AT_LEAST_ONE,
    "curvature_examples": AT_LEAST_ONE,
}
"""The accepted values of the numbers; those that are not here take any."""

PRESENTATION = frozenset(
    {
        "out",
        "existing",
        "keep",
        "progress",
        "profile",
        "report",
        "tensorboard",
        "writers",
        "workers",
    }
    | {"coordinator", "processes", "process"}
)
"""Options that a resumed run may change: they leave every number as it was."""

TOPOLOGY = frozenset({"mesh", "style", "zero", "rules"})
"""Options that a resumed run may change too: numbers stay equal but for rounding."""

LISTS = frozenset({"mesh", "milestones", "augment", "writers"})
"""Options of text that may have commas in it."""

PATTERNS = frozenset(
    {"rules", "rate_rules", "decay_rules", "freeze", "head"}
    | {"data_dir", "start_from", "out"}
)
"""Regular expressions and places: options of text that may have any sign in it."""


def check_ranges(options: RunOptions) -> None:
    """Refuse numbers out of range, and counts that do not fit each other.

    Args:
      options: the options.

    Raises:
      InputError: names the option, its value, and what is accepted.
    """
    for name, accepted in ACCEPTED.items():
        value = getattr(options, name)
        if value not in accepted:
            raise InputError(f"{name}={value} is out of range; accepted: {accepted}")
    if options.batch_size % options.micro_batches:
        raise InputError(
            f"batch_size={options.batch_size} is not divisible by "
            f"micro_batches={options.micro_batches}"
        )
