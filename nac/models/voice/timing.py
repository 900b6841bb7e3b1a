"""What all of the analysis agrees on: rate, hop, and where the frames of a hop are centred."""

#: Hz of the samples.
SAMPLE_RATE = 24_000
#: Samples of a hop, 20 ms, which is the step of the codes.
HOP = 480
#: Frames of parameters in a hop.
FRAMES = 4
#: Samples between frames, 5 ms. Frame k of a hop is centred at (k + ½) · STEP samples from the hop's start.
STEP = HOP // FRAMES
#: Hops that the analysis keeps before the one it describes, and after.
HOPS_BEFORE, HOPS_AFTER = 2, 1
#: Samples known after the centre of a hop's last frame.
LOOKAHEAD = STEP // 2 + HOPS_AFTER * HOP
