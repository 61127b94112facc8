from tests.sharing.conftest import copied_home, distillery, home

__all__ = ["copied_home", "distillery", "home"]
