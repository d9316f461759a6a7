"""Geodesics: boundary and initial value problems, lengths, transport and Jacobi fields."""
