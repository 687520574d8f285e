"""The two engines that simulate a fleet second by second, and the interface that both implement."""
