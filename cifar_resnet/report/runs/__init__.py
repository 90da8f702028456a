"""Reads run folders into tables, finds what sets runs apart, and groups those that repeat each other."""
