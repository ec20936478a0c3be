from django.apps import AppConfig


class DevstackConfig(AppConfig):
    """Installed only with DEV_STACK=1: the demo people with their known passwords exist nowhere else."""

    name = "devstack"
