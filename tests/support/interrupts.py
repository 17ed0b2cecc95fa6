"""Ctrl-C in a suite that was started in the background."""

import signal


def heed():
    """Let SIGINT count again where it is ignored.

    A shell starts background jobs with SIGINT ignored, which programs hand down to
    those that they start: a test that interrupts one would wait for ever.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
