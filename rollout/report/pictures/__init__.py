"""The pictures of a report: each is a few arrays that are computed once and drawn as often as needed."""
