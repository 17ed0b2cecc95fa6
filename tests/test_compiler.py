"""The quick compiler of the plain run."""

from support import compiler


def test_a_flag_that_this_jaxlib_does_not_take_is_left_out():
    assert not compiler.known("--xla_no_such_flag=true")
    assert compiler.known("--xla_force_host_platform_device_count=8")
