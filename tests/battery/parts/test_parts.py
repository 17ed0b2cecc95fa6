"""Every row of these kinds through every check that applies to it."""

import contextlib
import functools

import pytest

from battery.parts.kinds import KINDS, SUBJECTS
from battery.reach import reaches
from battery.registry import CHECKS, names_for
from jaxopt_lab.catalog import of_kind

MOST_PROGRAMS = 5
SIBLINGS = {
    "mesa_layer_norm": "the code of mesa_gelu around another function",
    "mesa_dense": "the code of mesa_gelu around another function",
    "mesa_softmax": "the code of mesa_gelu around another function",
    "reweighted_cross_entropy": "cross_entropy, weighted; its vectors are plain",
    "mixup_ndcg": "the arguments of mixup_ranking; its vectors are plain",
    "shrinkmatch": "confident_cross_entropy with a second term; its vectors are plain",
    "similarity_ranking": "dear; its vectors are plain",
    "guidance": "dear; its vectors are plain",
    "ordered_low_rank": "dear; its ranks and draws are tested in its file",
    "mdcs": "dear; its vectors are plain",
    "ensemble_cross_entropy": "cross_entropy of members; its vectors are plain",
    "multi_positive_retrieval": "cross_entropy of products; its vectors are plain",
    "batch_former": "dear; a case of its vectors is plain",
    "ordinal_cross_entropy": "cross_entropy to a soft label, tested in its file",
    "multi_source_distillation": "cross_entropies, tested in its file",
    "mlc": "dear; tested against NumPy in its file",
    "supremix": "dear; tested against loops in its file",
    "threshold_consistent_margin": "tested against loops in its file",
    "evonorm_s0": "the formulas of evonorm_b0 without a state",
    "unified_norm": "the state of power_norm, made by another rule",
    "alpha_bn": "the code of ghost_batch_norm with a mixture",
    "unmix_tns": "dear; its vectors are plain",
    "adab2n": "dear; its vectors are plain",
    "gptq": "the start of quantease; its recorded codes are plain",
    "erase": "a change of images by key as cutmix",
    "dualdis": "two roles in turn as co_teaching; its objectives are plain",
    "guided": "the loss guidance beside cross_entropy; its objective is plain",
    "natra": "the step of adversarial around another perturbation; its tests are plain",
    "views": "shifts and rectangles as those of pad_crop and erase",
    "spd_batch_norm": "dear, many eigenvalue problems; a case of its vectors is plain",
    "poincare_batch_norm": "dear; its vectors and the maps of the ball are plain",
    "region_norm": "dear; its vectors are plain",
    "codebook_bottleneck": "dear; its recorded snaps are plain",
    "mixture_of_experts": "dear; a loop over positions is plain",
    "vector_scaling": "dear, a Hessian in a loop; its optimum is plain",
    "knn_coverage": "dear; recorded counts, ends and planted faults are plain",
    "kernel_feed_forward": "dear; its vectors are plain",
    "hypernetwork": "dear; its vectors are plain",
    "norm_aware_attention": "dear; its dense form is compared in the plain run",
    "hydra_mixer": "dear; its dense form is compared in the plain run",
    "kernel_adapter": "the code of kernel_feed_forward before a product",
    "credit_decoding": "dear; its recorded runs and single rows are plain",
    "speculative": "dear; a thousand prompts and its distribution are plain",
    "t3": "dear; its vectors, ends and limits are plain",
    "transformer_block": "dear; its norms and sums have tests of their own",
}
"""Rows whose battery waits for ``--full``: they share the code of another row."""


@functools.lru_cache(maxsize=1)
def subject_of(kind, name):
    """The subject, and the names of its checks that have run."""
    return SUBJECTS[kind](of_kind(kind)[name]), set()


def run(kind, row, name):
    subject, done = subject_of(kind, row)
    done.add(name)
    check = CHECKS[kind][name]
    plain = check.tier(subject.row) == "plain"
    with subject.tally.counting() if plain else contextlib.nullcontext():
        check.run(subject)


def _cases():
    for kind in KINDS:
        for row in of_kind(kind).values():
            group = pytest.mark.xdist_group(f"{kind} {row.name}")
            reach = reaches(row)
            for name in names_for(kind, row, ("plain", "full")):
                marks = [group, reach]
                if name in row.known_failures:
                    reason = row.known_failures[name]
                    marks.append(pytest.mark.xfail(reason=reason, strict=True))
                if CHECKS[kind][name].tier(row) == "full" or row.name in SIBLINGS:
                    marks.append(pytest.mark.full)
                yield pytest.param(
                    kind, row.name, name, id=f"{row.name}-{name}", marks=marks
                )
            marks = [group, reach]
            if row.name in SIBLINGS:
                marks.append(pytest.mark.full)
            yield pytest.param(
                kind, row.name, None, id=f"{row.name}-programs", marks=marks
            )


@pytest.mark.parametrize("kind, row, check", list(_cases()))
def test_part(kind, row, check):
    if check is not None:
        run(kind, row, check)
        return
    # The plain checks of a row, those that have not run yet included.
    subject, done = subject_of(kind, row)
    for name in names_for(kind, subject.row):
        if name not in done and name not in subject.row.known_failures:
            run(kind, row, name)
    found = subject.tally.programs
    assert found <= MOST_PROGRAMS, f"{found} programs, at most {MOST_PROGRAMS}"


def test_known_failures_name_checks_that_apply():
    for kind in KINDS:
        for row in of_kind(kind).values():
            for name in row.known_failures:
                assert CHECKS[kind][name].applies(row), f"{row.name}: {name}"
