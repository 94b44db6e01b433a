"""Layouts that users describe: a YAML of fields and branches, or weaver's data configuration."""
