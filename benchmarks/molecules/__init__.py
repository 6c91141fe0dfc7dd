"""The model of molecules, and where the queries of runs on molecules lie in its latent space."""
