"""The dataset doctor behind `fivesigma inspect`: what a file holds, and what is wrong with it."""
