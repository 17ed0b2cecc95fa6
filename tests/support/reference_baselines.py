"""APOLLO, Adam-mini and SOAP in plain loops of numpy, from the papers' formulas."""

import numpy as np


def adam_direction(m, v, step, b1, b2, eps):
    return (m / (1 - b1**step)) / (np.sqrt(v / (1 - b2**step)) + eps)


def adam(grads, b1, b2, eps):
    """The directions of Adam."""
    m, v, found = np.zeros_like(grads[0]), np.zeros_like(grads[0]), []
    for step, g in enumerate(grads, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        found.append(adam_direction(m, v, step, b1, b2, eps))
    return found


def apollo(grads, projections, *, tensor, scale, growth, b1, b2, eps):
    """Directions for gradients (p, q), p <= q, and a projection for each step."""
    m = v = 0.0
    last, found = None, []
    for step, (g, p) in enumerate(zip(grads, projections, strict=True), 1):
        r = p @ g
        m = b1 * m + (1 - b1) * r
        v = b2 * v + (1 - b2) * r * r
        adapted = adam_direction(m, v, step, b1, b2, eps)
        u = np.empty_like(g)
        for j in range(g.shape[1]):
            if tensor:
                s = np.linalg.norm(adapted) / np.linalg.norm(r)
            else:
                s = np.linalg.norm(adapted[:, j]) / np.linalg.norm(r[:, j])
            u[:, j] = s * g[:, j]
        if last is not None and np.linalg.norm(u) > growth * last:
            u = u * growth * last / np.linalg.norm(u)
        last = np.linalg.norm(u)
        found.append(scale * u)
    return found


def adam_mini(grads, blocks, b1, b2, eps):
    """Directions where ``blocks`` is an array of block numbers like a gradient."""
    m, found = np.zeros_like(grads[0]), []
    v = {int(block): 0.0 for block in np.unique(blocks)}
    for step, g in enumerate(grads, 1):
        m = b1 * m + (1 - b1) * g
        u = np.empty_like(g)
        for block in v:
            inside = blocks == block
            v[block] = b2 * v[block] + (1 - b2) * np.mean(g[inside] ** 2)
            u[inside] = adam_direction(m[inside], v[block], step, b1, b2, eps)
        found.append(u)
    return found


def eigenvectors(factor):
    """Those of the largest eigenvalues first."""
    values, vectors = np.linalg.eigh(factor)
    return vectors[:, np.argsort(-values)]


def turned(factor, basis):
    """The basis after a power iteration, and the order of its vectors."""
    estimates = [basis[:, j] @ factor @ basis[:, j] for j in range(len(factor))]
    order = np.argsort(-np.array(estimates))
    return np.linalg.qr(factor @ basis[:, order])[0], order


def soap(grads, *, b1, b2, eps, factor_decay, frequency, left, right):
    """Directions; ``left`` and ``right`` say which sides have a basis.

    The first step makes the bases and moves nothing.
    """
    p, q = grads[0].shape
    m, v = np.zeros((p, q)), np.zeros((p, q))
    big_l, big_r = np.zeros((p, p)), np.zeros((q, q))
    q_l, q_r = np.eye(p), np.eye(q)
    found = []
    for step, g in enumerate(grads):
        if step == 0:
            found.append(np.zeros((p, q)))
        else:
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * (q_l.T @ g @ q_r) ** 2
            inside = adam_direction(q_l.T @ m @ q_r, v, step, b1, b2, eps)
            found.append(q_l @ inside @ q_r.T)
        big_l = factor_decay * big_l + (1 - factor_decay) * g @ g.T
        big_r = factor_decay * big_r + (1 - factor_decay) * g.T @ g
        if step == 0:
            q_l = eigenvectors(big_l) if left else q_l
            q_r = eigenvectors(big_r) if right else q_r
        elif step % frequency == 0:
            if left:
                q_l, order = turned(big_l, q_l)
                v = v[order]
            if right:
                q_r, order = turned(big_r, q_r)
                v = v[:, order]
    return found
