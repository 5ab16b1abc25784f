"""Planted bugs: each breaks the protocol in one place, and each must be found. A checker that finds none is no proof.

python -m proof.mutants            plants all of them, one after the other
python -m proof.mutants NAME       plants one and shows what it breaks
"""
