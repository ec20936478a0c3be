from tests.assistant.conftest import desk  # noqa: F401  (a real surface whose conversations these are)
