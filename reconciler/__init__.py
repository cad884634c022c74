"""Plan/apply for SR-IOV on KVM hosts."""

__version__ = "0.1.0"
