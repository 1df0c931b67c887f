"""Proofs with real programs: started as an operator starts them, talked to over sockets."""
