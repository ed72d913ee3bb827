"""The configuration tree: YAML groups, and the code that turns them into typed, checked dataclasses."""
