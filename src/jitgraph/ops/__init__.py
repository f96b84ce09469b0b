"""The mathematics: what each op computes, its shape and its gradient; one file per family."""
