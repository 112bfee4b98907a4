"""Answers whose model may search the server's documents: several generations, one answer, in two APIs."""
