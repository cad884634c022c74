"""``kernel.cmdline``: arguments that the kernel is started with."""
