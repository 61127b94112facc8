"""Promotion: a channel pointed at an adapter that passed, or back at an earlier one."""
