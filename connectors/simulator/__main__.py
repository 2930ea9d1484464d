"""python -m connectors.simulator"""

from connectors.simulator.command import main

if __name__ == "__main__":
    main()
