"""Labels on progress verdicts: agreement, rates, consequences, and what is learned from them."""
