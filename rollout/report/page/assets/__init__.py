"""Files that are embedded in a report page. uPlot 1.6.32 is vendored under its MIT licence."""
