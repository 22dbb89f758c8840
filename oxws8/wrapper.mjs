export { default } from 'oxws/ws8';
export * from 'oxws/ws8';
