"""What commands and scripts call: inventory, plan, simulation, status, forecast, control.

Nothing here parses options or prints.
"""
