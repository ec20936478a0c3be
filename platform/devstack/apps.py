from django.apps import AppConfig


class DevstackConfig(AppConfig):
    """Installed only with DEV_STACK=1, because the demo people have known passwords."""

    name = "devstack"
