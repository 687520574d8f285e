"""Files that a report page carries inside itself. uPlot 1.6.32 is vendored under its MIT licence."""
