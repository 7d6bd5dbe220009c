import {
  Chart,
  Decimation,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  LogarithmicScale,
  PointElement,
  Tooltip,
} from 'chart.js';

Chart.register(Decimation, Legend, LinearScale, LineController, LineElement, LogarithmicScale, PointElement, Tooltip);

export { Chart };
