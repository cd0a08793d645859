"""Speed, measured beside the peers that are installed, in one run; reported as ratios, never asserted."""
