"""Tools that run the whole platform: benchmarks (bench), fault injection (chaos), answer quality (eval)."""
