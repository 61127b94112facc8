from tests.sharing.conftest import home

__all__ = ["home"]
